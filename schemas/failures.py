"""The failure words: each one is a decision about what happens next.

    Failure                  one event could not be done
    |-- Rejected             never: it goes to the dead-letter topic, whole
    `-- TryLater             not now: this one event is tried again later
    Unavailable              nothing works now: hold the batch, keep polling, commit nothing
    Fault                    waiting mends nothing: say the remedy and end

A job returns a Failure for each event that it could not do, and raises Unavailable when the trouble
is not in the events at all.
"""

from enum import StrEnum


class Code(StrEnum):
    """Why an event failed, in words that programs can compare; stable once released."""

    EVENT_UNREADABLE = "event_unreadable"
    EVENT_INVALID = "event_invalid"
    EVENT_UNKNOWN = "event_unknown"
    KEY_INVALID = "key_invalid"
    IMAGE_MISSING = "image_missing"
    IMAGE_TOO_LARGE = "image_too_large"
    IMAGE_TOO_SMALL = "image_too_small"
    IMAGE_UNREADABLE = "image_unreadable"
    IMAGE_FORMAT = "image_format"
    IMAGE_TIMEOUT = "image_timeout"
    IMAGE_UNREACHABLE = "image_unreachable"
    SOURCE_REFUSED = "source_refused"
    CROP_IMPOSSIBLE = "crop_impossible"
    FILTER_IMPOSSIBLE = "filter_impossible"
    ITEM_UNKNOWN = "item_unknown"
    REPLY_REFUSED = "reply_refused"
    VECTOR_INVALID = "vector_invalid"
    IMAGE_DIFFERS = "image_differs"
    IMAGE_CRASHED = "image_crashed"
    REVISION_CONFLICT = "revision_conflict"
    WORKER_KILLED = "worker_killed"
    MODERATED = "moderated"
    MODERATOR_FAILED = "moderator_failed"
    TENANT_SET_ASIDE = "tenant_set_aside"
    ANSWER_TOO_LARGE = "answer_too_large"


class Failure(Exception):
    """One event that could not be done: a stable `code` and one sentence with the remedy."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Rejected(Failure):
    """Will never work as it is: the record goes to the dead-letter topic with its original bytes."""


class TryLater(Failure):
    """May work later, for this event alone: a picture's host that is slow, say.

    `tries` is how many of the retry topics it may go through before it is dead-lettered. One that was not even
    `tried`, because its host rests, has not used up any of them.
    """

    def __init__(self, code: Code, message: str, tries: int = 3, *, tried: bool = True) -> None:
        super().__init__(code, message)
        self.tries = tries
        self.tried = tried


class Unavailable(Exception):
    """Nothing can be done now, for any event: the index or the broker is away."""


class Fault(Exception):
    """Something that we need refuses, and waiting does not mend it; the message says what, why, and the remedy."""
