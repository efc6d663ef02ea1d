"""A look at a place: what is new or changed there becomes an upsert, what is gone a deletion."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import NamedTuple

from pydantic import ValidationError

from producers.image_sync.locations import ImageLocation, ListedImage
from producers.ingest import Publishable
from producers.row_reader import BadRow, revisions
from schemas.envelope import describe
from schemas.failures import Failure, TryLater, Unavailable
from schemas.items import ItemDeleted, ItemUpserted, Source

SETTLED = timedelta(seconds=1)
"""A file that changed so lately may still be being written: it is taken at a later look."""
MANY, MOST_GONE = 20, 0.5
"""Of so many pictures or more this share may go from one look to the next; more is a mount that went away."""


class ScanStep(NamedTuple):
    """What one look has found out about one picture: what is to be published, and what is known then."""

    event: Publishable
    sent: ListedImage | None
    gone: str | None


@dataclass
class LocationScanner:
    """Looks at a place again and again."""

    place: ImageLocation
    tenant: str
    source: Source = "catalog"
    categories: bool = False
    """Whether the folder that a picture lies in names its category."""
    lets_go: bool = False
    """Whether it is meant when most of them are gone at once."""
    unsettled: list[str] = field(default_factory=list)
    """The pictures that the last look has left for a later one: they may still be being written."""
    _clock: Iterator[int] = field(default_factory=revisions)
    _young: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    """For each of those, the mark that it has had since when."""

    def look(self, known: Mapping[str, str], now: datetime) -> Iterator[ScanStep]:
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
        changed = [each for each in there.values() if known.get(each.path) != each.mark]
        self.unsettled = [each.path for each in changed if not self._is_settled(each, now)]
        self._young = {path: self._young[path] for path in self.unsettled}
        for each in changed:
            if each.path not in self._young:
                yield self._upserted(each)
        for path in sorted(gone):
            yield ScanStep(self._deleted(path), None, path)

    def _is_settled(self, listed: ListedImage, now: datetime) -> bool:
        """Whether a picture is whole: it is older, or has not changed for as long by our own clock.

        The clock of another machine may be ahead: its files would stay young for ever.
        """
        if listed.changed_at <= now - SETTLED:
            return True
        mark, since = self._young.get(listed.path, ("", now))
        self._young[listed.path] = (listed.mark, since if mark == listed.mark else now)
        return mark == listed.mark and now - since >= SETTLED

    def _upserted(self, listed: ListedImage) -> ScanStep:
        path, revision = PurePosixPath(listed.path), next(self._clock)
        facts: dict[str, object] = {"title": path.stem.replace("_", " ").replace("-", " ").strip()}
        if self.categories and path.parent.name:
            facts["category"] = path.parent.name
        try:
            images = (self.place.reference(listed.path),)
            about = {"tenant": self.tenant, "item_id": listed.path, "source": self.source, "revision": revision}
            facts |= {"images": images, "created_at": listed.changed_at.astimezone(UTC)}
            item = ItemUpserted.model_validate(about | {name: value for name, value in facts.items() if value})
            return ScanStep(item, listed, None)
        except ValidationError as error:
            return ScanStep(BadRow(0, f"{listed.path}: {describe(error)}"), listed, None)
        except TryLater as error:
            return ScanStep(BadRow(0, f"{listed.path}: {error.message}"), None, None)
        except Failure as error:
            return ScanStep(BadRow(0, f"{listed.path}: {error.message}"), listed, None)

    def _deleted(self, path: str) -> Publishable:
        try:
            return ItemDeleted(tenant=self.tenant, item_id=path, source=self.source, revision=next(self._clock))
        except ValidationError as error:  # then it never was an item
            return BadRow(0, f"{path}: {describe(error)}")
