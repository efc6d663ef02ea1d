"""Failures: exceptions whose class decides how a failed event is handled.

    Failure                  one event could not be processed
    |-- Rejected             permanent: the record goes to the dead-letter topic, unchanged
    `-- TryLater             temporary: this event is retried later
    Unavailable              nothing can be processed now: hold the batch, keep polling, commit nothing
    Fault                    waiting does not help: report the remedy and exit

A handler returns a Failure for each event that it could not process. It raises Unavailable when the cause is not
in the events.
"""

from enum import StrEnum


class Code(StrEnum):
    """Why an event failed, as a code for programs; codes do not change once released."""

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
    """One event could not be processed; has a stable `code` and a message of one sentence with the remedy."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Rejected(Failure):
    """The event can never be processed as it is: its record goes, byte for byte, to the dead-letter topic."""


class TryLater(Failure):
    """The event may succeed later, and other events are not affected; for example, the host of its picture is slow.

    `tries` is the number of retry topics that the event may pass through before it is dead-lettered. `tried` is
    False when no attempt was made, for example because the circuit breaker of the host is open; such a retry does
    not count.
    """

    def __init__(self, code: Code, message: str, tries: int = 3, *, tried: bool = True) -> None:
        super().__init__(code, message)
        self.tries = tries
        self.tried = tried


class Unavailable(Exception):
    """No event can be processed now, because the index or the broker is unavailable."""


class Fault(Exception):
    """A dependency refuses to work, and waiting does not help; the message says which one, why, and the remedy."""
