"""Moderation: decides which labels keep an item out of the index and which hide it from most searches."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module

from PIL.Image import Image
from pydantic import TypeAdapter, ValidationError

from consumers.vision.moderator import NO_MODERATOR, ImageModerator
from infra.config.errors import SettingsError
from infra.config.settings import ModerationSettings
from infra.qdrant.conditions import Condition, NotAnyOf
from schemas.failures import Code, Rejected, TryLater
from schemas.moderation import MAX_LABELS, Labels

EVENT_LABELS_KEY, MODERATOR_LABELS_KEY = "moderation", "moderation_seen"
"""Payload keys: the labels that the item's events state, and the labels that a moderator found in the picture."""
MODERATOR_KEY = "moderator"
"""Payload key: the name of the moderator that checked the picture; absent if none did."""

LABELS_ADAPTER: TypeAdapter[Labels] = TypeAdapter(Labels)


@dataclass(frozen=True)
class ModerationPolicy:
    """Effect of labels: `blocked` keeps items out of the index, `restricted` needs a search that allows it."""

    blocked: frozenset[str] = frozenset()
    restricted: frozenset[str] = frozenset()

    def blocked_labels(self, labels: Iterable[str]) -> tuple[str, ...]:
        """The labels that block, sorted; at most MAX_LABELS."""
        return tuple(sorted(self.blocked.intersection(labels)))[:MAX_LABELS]

    def rejection(self, labels: Iterable[str], *, restricted: bool) -> Rejected | None:
        """The reason to reject a search whose query has these labels; None when it is allowed.

        `restricted` says whether the search allows restricted labels.
        """
        label_set = set(labels)
        if blocked := self.blocked_labels(label_set):
            text = f"the query has labels that block it: {', '.join(blocked)}"
            return Rejected(Code.MODERATED, f"{text}; search by something else")
        if (restricting := sorted(self.restricted & label_set)) and not restricted:
            text = f"the query has labels that restrict it: {', '.join(restricting)}"
            return Rejected(Code.MODERATED, f"{text}; set `restricted` if the user may see such content")
        return None

    def visibility_conditions(self, *, restricted: bool) -> tuple[Condition, ...]:
        """Index conditions that the points of a search result must meet; `restricted` allows restricted points.

        Blocked labels are excluded too, because points may have been indexed under an earlier policy.
        """
        hidden = tuple(sorted(self.blocked if restricted else self.blocked | self.restricted))
        return (NotAnyOf(EVENT_LABELS_KEY, hidden), NotAnyOf(MODERATOR_LABELS_KEY, hidden)) if hidden else ()


ALLOW_ALL = ModerationPolicy()
"""Policy that blocks and restricts nothing."""


@dataclass(frozen=True)
class LabelCallable:
    """Moderator that calls a user's function: upright RGB picture to labels. It is called from many threads."""

    name: str
    call: Callable[[Image], Iterable[str]]

    def labels(self, picture: Image) -> tuple[str, ...]:
        """The labels of a picture, sorted and without duplicates.

        Raises TryLater when the function fails or returns anything else: no picture is shown without moderation.
        """
        try:
            return tuple(sorted(set(LABELS_ADAPTER.validate_python(tuple(self.call(picture))))))
        except ValidationError:
            text = f"{self.name} did not return at most {MAX_LABELS} labels in lower case: correct it"
            raise TryLater(Code.MODERATOR_FAILED, text) from None
        except Exception as error:  # user code may raise any exception
            text = f"{self.name} failed with {type(error).__name__}: correct it, then replay the dead letter"
            raise TryLater(Code.MODERATOR_FAILED, text) from error


def moderation_policy(settings: ModerationSettings) -> ModerationPolicy:
    return ModerationPolicy(frozenset(settings.blocked), frozenset(settings.restricted))


def load_moderator(settings: ModerationSettings) -> ImageModerator:
    """The moderator that the settings name; raises SettingsError when it cannot be imported or called."""
    if settings.call is None:
        return NO_MODERATOR
    path = settings.call
    module, _, name = path.partition(":")
    try:
        call = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        why = f"LOOKSTREAM_MODERATION_CALL: {path} cannot be imported ({error}): give package.module:function"
        raise SettingsError(why) from None
    if not callable(call):
        raise SettingsError(f"LOOKSTREAM_MODERATION_CALL: {path} is {type(call).__name__}, not a function")
    return LabelCallable(path, call)
