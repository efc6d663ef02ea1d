"""Reason counts: count messages by kind, with an example and places; a kind ignores names and numbers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_KINDS = 200
"""Kinds of messages that are counted apart; a feed could make up a new one for each row."""
MAX_PLACES = 5
"""Places that are kept of each kind."""
MAX_EXAMPLE = 300
"""Characters of an example."""
OTHER_KINDS = "further reasons"
QUOTED = re.compile(r"""(column `[^`]*`|`[^`]*`(?= \())|`[^`]*`|(?<!\w)'[^']*'(?!\w)|"[^"]*\"""")
"""Quoted texts. The first group (a column, or a field before its type as in `url` (str)) belongs to the kind of a
message; any other quoted text is a value, which differs from row to row."""
NUMBER = re.compile(r"\d+")


@dataclass
class Reason:
    """The messages of one kind."""

    example: str
    """The first message."""
    count: int = 0
    places: list[str] = field(default_factory=list)
    """Where the first messages came from: `line 7`, or the name of a file."""

    def count_one(self, place: str) -> None:
        """Count a message from a place."""
        self.count += 1
        if len(self.places) < MAX_PLACES:
            self.places.append(place)


class ReasonCounts:
    """Counts messages by kind."""

    def __init__(self) -> None:
        self._kinds: dict[str, Reason] = {}
        self.total = 0

    def add(self, message: str, place: str) -> Reason:
        """Count a message from a place; returns its kind."""
        reason = self._reason(message[:MAX_EXAMPLE])
        reason.count_one(place)
        self.total += 1
        return reason

    def __iter__(self) -> Iterator[Reason]:
        """The kinds, the most frequent first."""
        return iter(sorted(self._kinds.values(), key=lambda reason: -reason.count))

    def _reason(self, text: str) -> Reason:
        kind = NUMBER.sub("#", QUOTED.sub(lambda found: found[1] or "`", text))
        if kind not in self._kinds and len(self._kinds) >= MAX_KINDS:
            kind = text = OTHER_KINDS
        return self._kinds.setdefault(kind, Reason(text))


def place_of(line: int, name: str) -> str:
    """A place for people: the line of a row, or the name of a file."""
    return f"line {line}" if line else name
