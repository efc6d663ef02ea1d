"""Choosing among dead letters: by code, age and key; the same for every command."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from consumers.operations.dead_letters.dead_letter import DeadLetter
from infra.console import BadInput
from schemas.failures import Code

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Selection:
    """Which letters: what is left out takes them all."""

    codes: frozenset[str] = frozenset()
    since: datetime | None = None
    """Refused at this moment or later."""
    key: str | None = None
    """An item's key, or the beginning of keys with * at its end."""
    limit: int | None = None
    """So many at the most; each command says which ones those are."""

    def takes(self, letter: DeadLetter) -> bool:
        """Whether a letter is among them."""
        return (
            (not self.codes or letter.code in self.codes)
            and (self.since is None or letter.died_at >= self.since)
            and (self.key is None or _matches(letter.key_text, self.key))
        )

    def newest(self, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        """Those that it takes, the newest first, as many as the limit allows."""
        return sorted(filter(self.takes, letters), key=_age, reverse=True)[: self.limit]

    def oldest(self, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        """Those that it takes, the oldest first, without regard to the limit."""
        return sorted(filter(self.takes, letters), key=_age)


def select(
    codes: Sequence[str] | None, since: str | None, key: str | None, limit: int | None, now: datetime
) -> Selection:
    """A choice in the words of the command line; raises BadInput that names the option and the remedy."""
    for code in codes or ():
        if code not in set(Code):
            raise BadInput(_no_such_code(code))
    moment = None if since is None else _moment(since, now)
    return Selection(frozenset(codes or ()), moment, key, limit)


def _age(letter: DeadLetter) -> tuple[int, str, int, int]:
    return letter.died_at_ms, letter.topic, letter.partition, letter.offset


def _matches(key: str | None, wanted: str) -> bool:
    if key is None:
        return False
    return key.startswith(wanted[:-1]) if wanted.endswith("*") else key == wanted


def _moment(text: str, now: datetime) -> datetime:
    """The moment that `--since` means: so long ago, or an ISO time, which is UTC unless it says otherwise."""
    ago = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if ago:
        return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"--since {text[:40]} is no time: give 30m, 2h, 3d, or 2026-07-01T10:00 (UTC)") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _no_such_code(code: str) -> str:
    near = difflib.get_close_matches(code, list(Code), 1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"--code {code[:40]} does not exist: {hint}The codes are {', '.join(sorted(Code))}"
