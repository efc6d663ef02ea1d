"""Moderation: which labels keep an item out of the index, and which out of hits unless these are asked for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module

from PIL.Image import Image
from pydantic import TypeAdapter, ValidationError

from consumers.vision.embedder import NO_MODERATOR
from consumers.vision.embedder import ImageModerator as Looker
from infra.config.settings import ModerationSettings, SettingsError
from infra.qdrant.conditions import Condition, NotAnyOf
from schemas.failures import Code, Rejected, TryLater
from schemas.moderation import MAX_LABELS, Labels

TOLD_LABELS, SEEN_LABELS = "moderation", "moderation_seen"
"""The payload keys of labels that the item's events have told, and of those that a moderator saw in the picture."""
MODERATOR = "moderator"
"""The payload key with the name of the moderator that has seen the picture, if one has."""

LABELS: TypeAdapter[Labels] = TypeAdapter(Labels)


@dataclass(frozen=True)
class ModerationPolicy:
    """What labels mean: those of `blocked` keep items out, those of `restricted` are for whoever asks."""

    blocked: frozenset[str] = frozenset()
    restricted: frozenset[str] = frozenset()

    def blocking(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Those of the labels that block, in order."""
        return tuple(sorted(self.blocked.intersection(labels)))[:MAX_LABELS]

    def refusal(self, labels: Iterable[str], *, restricted: bool) -> Rejected | None:
        """Why a search by something with these labels is not answered; none when it is."""
        known = set(labels)
        if blocking := self.blocking(known):
            text = f"what is searched by bears labels that block it: {', '.join(blocking)}"
            return Rejected(Code.MODERATED, f"{text}; search by something else")
        if (found := sorted(self.restricted & known)) and not restricted:
            text = f"what is searched by bears labels that restrict it: {', '.join(found)}"
            return Rejected(Code.MODERATED, f"{text}; say `restricted` if whoever asks may see such things")
        return None

    def showable(self, *, restricted: bool) -> tuple[Condition, ...]:
        """What holds of the points that may be shown, with those that are restricted or without.

        Blocked ones are asked for too: the index may be older than the policy.
        """
        hidden = tuple(sorted(self.blocked if restricted else self.blocked | self.restricted))
        return (NotAnyOf(TOLD_LABELS, hidden), NotAnyOf(SEEN_LABELS, hidden)) if hidden else ()


OPEN = ModerationPolicy()
"""For whoever blocks and restricts nothing."""


@dataclass(frozen=True)
class LabelCallable:
    """Somebody's own callable: takes an upright RGB picture, gives labels. It is called from many threads."""

    name: str
    call: Callable[[Image], Iterable[str]]

    def labels(self, picture: Image) -> tuple[str, ...]:
        """The labels of a picture, in order; raises TryLater when it gives none: nothing is shown unjudged."""
        try:
            return tuple(sorted(set(LABELS.validate_python(tuple(self.call(picture))))))
        except ValidationError:
            text = f"{self.name} gave something else than up to {MAX_LABELS} labels in small letters: mend it"
            raise TryLater(Code.MODERATOR_FAILED, text) from None
        except Exception as error:  # somebody else's code may raise whatever it likes
            text = f"{self.name} failed with {type(error).__name__}: mend it, then replay the dead letter"
            raise TryLater(Code.MODERATOR_FAILED, text) from error


def policy_of(given: ModerationSettings) -> ModerationPolicy:
    """What labels mean, by the settings."""
    return ModerationPolicy(frozenset(given.blocked), frozenset(given.restricted))


def moderator_of(given: ModerationSettings) -> Looker:
    """The moderator that the settings name; raises SettingsError when it cannot be had."""
    if given.call is None:
        return NO_MODERATOR
    module, _, name = given.call.partition(":")
    try:
        call = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        why = f"LOOKSTREAM_MODERATION_CALL: {given.call} cannot be imported ({error}): give package.module:function"
        raise SettingsError(why) from None
    if not callable(call):
        raise SettingsError(f"LOOKSTREAM_MODERATION_CALL: {given.call} is {type(call).__name__}, not a function")
    return LabelCallable(given.call, call)
