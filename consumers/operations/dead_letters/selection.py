"""Selection: filters dead letters by code, age and key, in the same way for every command."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from consumers.operations.dead_letters.dead_letter import DeadLetter
from infra.config.errors import BadInput
from schemas.failures import Code

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Selection:
    """Filter on dead letters; a field without a value matches every letter."""

    codes: frozenset[str] = frozenset()
    since: datetime | None = None
    """Earliest time of rejection."""
    key: str | None = None
    """An item's key, or a prefix of keys that ends in *."""
    limit: int | None = None
    """Maximum number of letters; each command defines which ones come first."""

    def matches(self, letter: DeadLetter) -> bool:
        """Whether the filter matches a letter, without regard to the limit."""
        return (
            (not self.codes or letter.code in self.codes)
            and (self.since is None or letter.died_at >= self.since)
            and (self.key is None or _matches_key(letter.key_text, self.key))
        )

    def newest(self, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        """The matching letters, newest first, at most `limit`."""
        return sorted(filter(self.matches, letters), key=_rejection_order, reverse=True)[: self.limit]

    def oldest(self, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        """The matching letters, oldest first, without the limit."""
        return sorted(filter(self.matches, letters), key=_rejection_order)


def parse_selection(
    codes: Sequence[str] | None, since: str | None, key: str | None, limit: int | None, now: datetime
) -> Selection:
    """Parse the command-line options; raises BadInput with the option and the remedy."""
    for code in codes or ():
        if code not in set(Code):
            raise BadInput(_unknown_code_message(code))
    moment = None if since is None else _parse_time(since, now)
    return Selection(frozenset(codes or ()), moment, key, limit)


def _rejection_order(letter: DeadLetter) -> tuple[int, str, int, int]:
    return letter.died_at_ms, letter.topic, letter.partition, letter.offset


def _matches_key(key: str | None, pattern: str) -> bool:
    if key is None:
        return False
    return key.startswith(pattern[:-1]) if pattern.endswith("*") else key == pattern


def _parse_time(text: str, now: datetime) -> datetime:
    """Parse `--since`: an age such as 30m, or an ISO time, which is UTC unless it has an offset."""
    ago = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if ago:
        return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"--since {text[:40]} is no time: give 30m, 2h, 3d, or 2026-07-01T10:00 (UTC)") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _unknown_code_message(code: str) -> str:
    near = difflib.get_close_matches(code, list(Code), 1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"--code {code[:40]} does not exist: {hint}The codes are {', '.join(sorted(Code))}"
