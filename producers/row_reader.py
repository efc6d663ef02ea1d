"""Rows: what the readers of feeds yield, and what the rows of all feeds share: times, revisions and defaults."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from infra.config.errors import BadInput
from schemas.envelope import describe
from schemas.items import ItemDeleted, ItemFacts

Json = object
"""A parsed JSON value; numbers stay text, so that 19.90 stays 19.90."""
JsonObject = Mapping[str, Json]


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used: its line in the file, from 1, and one sentence with the reason."""

    line: int
    message: str


@dataclass(frozen=True)
class SkippedRow:
    """A valid row that is no item event, with its line and the reason."""

    line: int
    message: str


@dataclass(frozen=True)
class FeedRow:
    """One row of a feed: the line where it starts, and its cells by column."""

    line: int
    cells: Mapping[str, Json]


RowResult = FeedRow | BadRow | SkippedRow


def check_defaults(tenant: str, currency: str | None = None) -> None:
    """Raise BadInput if the defaults for all rows are invalid, so that the error is reported once, not per row."""
    try:
        ItemDeleted(tenant=tenant, item_id="any", revision=1)
        ItemFacts(currency=currency)
    except ValidationError as error:
        raise BadInput(f"the options are invalid: {describe(error)}") from None


def parse_time(text: str) -> datetime:
    """Parse an ISO 8601 date or time; without an offset it is UTC. Raises ValueError with a user message."""
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"`{text[:80]}` is no ISO 8601 date or time, as 2026-01-31T12:00:00Z") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def revisions() -> Iterator[int]:
    """Endless, strictly increasing revisions: the present time in microseconds since 1970."""
    last = 0
    while True:
        last = max(last + 1, time.time_ns() // 1_000)
        yield last
