"""A look at a place: what is new or changed there becomes an upsert, what is gone a deletion."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import NamedTuple

from pydantic import ValidationError

from producers.ingest import Publishable
from producers.rows import BadRow, revisions
from producers.watched.places import Listed, Place
from schemas.envelope import describe
from schemas.failures import Failure, TryLater, Unavailable
from schemas.items import ItemDeleted, ItemUpserted, Source

SETTLED_SECONDS = 1.0
"""A file that changed so lately may still be being written: it is taken at a later look."""
MANY, MOST_GONE = 20, 0.5
"""Of so many pictures or more this share may go from one look to the next; more is a mount that went away."""


class Step(NamedTuple):
    """What one look has found out about one picture: what is to be published, and what is known then."""

    event: Publishable
    sent: Listed | None
    gone: str | None


@dataclass
class Watched:
    """Looks at a place again and again."""

    place: Place
    tenant: str
    source: Source = "catalog"
    categories: bool = False
    """Whether the folder that a picture lies in names its category."""
    lets_go: bool = False
    """Whether it is meant when most of them are gone at once."""
    _clock: Iterator[int] = field(default_factory=revisions)

    def look(self, known: Mapping[str, str], now: datetime) -> Iterator[Step]:
        """What has changed against what is known, one by one: a picture is read when its turn comes.

        Raises Unavailable when the place, or most of it, is away.
        """
        there = {each.path: each for each in self.place.pictures()}
        gone = known.keys() - there.keys()
        if len(known) >= MANY and len(gone) > MOST_GONE * len(known) and not self.lets_go:
            raise Unavailable(
                f"{len(gone)} of {len(known)} pictures of {self.place.name} are gone at once: is it mounted? "
                "If they are to go, say --let-go"
            )
        newest = now - timedelta(seconds=SETTLED_SECONDS)
        settled = [each for each in there.values() if each.changed_at <= newest]
        for each in settled:
            if known.get(each.path) != each.mark:
                yield self._upserted(each)
        for path in sorted(gone):
            yield Step(self._deleted(path), None, path)

    def _upserted(self, listed: Listed) -> Step:
        path, revision = PurePosixPath(listed.path), next(self._clock)
        facts: dict[str, object] = {"title": path.stem.replace("_", " ").replace("-", " ").strip()}
        if self.categories and path.parent.name:
            facts["category"] = path.parent.name
        try:
            images = (self.place.reference(listed.path),)
            about = {"tenant": self.tenant, "item_id": listed.path, "source": self.source, "revision": revision}
            facts |= {"images": images, "created_at": listed.changed_at.astimezone(UTC)}
            item = ItemUpserted.model_validate(about | {name: value for name, value in facts.items() if value})
            return Step(item, listed, None)
        except ValidationError as error:
            return Step(BadRow(0, f"{listed.path}: {describe(error)}"), listed, None)
        except TryLater as error:
            return Step(BadRow(0, f"{listed.path}: {error.message}"), None, None)
        except Failure as error:
            return Step(BadRow(0, f"{listed.path}: {error.message}"), listed, None)

    def _deleted(self, path: str) -> Publishable:
        try:
            return ItemDeleted(tenant=self.tenant, item_id=path, source=self.source, revision=next(self._clock))
        except ValidationError as error:  # then it never was an item
            return BadRow(0, f"{path}: {describe(error)}")
