"""Location scan: new and changed pictures of a location become upserts, missing ones become deletions."""

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

MIN_AGE = timedelta(seconds=1)
"""Age from which a file counts as complete. A younger one may still be being written, so a later scan reads it."""
GUARDED_COUNT, MAX_MISSING_SHARE = 20, 0.5
"""From this number of pictures on, the largest share that may disappear at once; more suggests a lost mount."""


class ScanStep(NamedTuple):
    """A change of one picture: the event to publish, and what to record in the state afterwards."""

    event: Publishable
    sent_image: ListedImage | None
    deleted_path: str | None


@dataclass
class LocationScanner:
    """Compares a location with the recorded state; one instance for all scans of a location."""

    location: ImageLocation
    tenant: str
    source: Source = "catalog"
    categories: bool = False
    """Whether the name of a picture's folder is its category."""
    allow_mass_deletion: bool = False
    """Whether to accept that most pictures disappear at once."""
    incomplete_paths: list[str] = field(default_factory=list)
    """Paths that the last scan left for a later one, because they may still be being written."""
    _revisions: Iterator[int] = field(default_factory=revisions)
    _changing: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    """For each unsettled path, its mark and the time since when it has had that mark."""

    def scan(self, known: Mapping[str, str], now: datetime) -> Iterator[ScanStep]:
        """Scan once, and yield the differences from `known` (path -> mark). A picture is read when its step is due.

        Raises Unavailable if the location, or most of it, is missing.
        """
        present = {each.path: each for each in self.location.pictures()}
        missing = known.keys() - present.keys()
        if (
            len(known) >= GUARDED_COUNT
            and len(missing) > MAX_MISSING_SHARE * len(known)
            and not self.allow_mass_deletion
        ):
            raise Unavailable(
                f"{len(missing)} of {len(known)} pictures of {self.location.name} are gone at once: is it mounted? "
                "To delete their items, give --let-go"
            )
        changed = [each for each in present.values() if known.get(each.path) != each.version_tag]
        self.incomplete_paths = [each.path for each in changed if not self._is_settled(each, now)]
        self._changing = {path: self._changing[path] for path in self.incomplete_paths}
        for each in changed:
            if each.path not in self._changing:
                yield self._upsert(each)
        for path in sorted(missing):
            yield ScanStep(self._deletion(path), None, path)

    def _is_settled(self, listed: ListedImage, now: datetime) -> bool:
        """Whether a picture is complete: it is older than MIN_AGE, or unchanged for that long by the local clock.

        If the clock of another machine is ahead, its files would never be old enough.
        """
        if listed.changed_at <= now - MIN_AGE:
            return True
        mark, since = self._changing.get(listed.path, ("", now))
        self._changing[listed.path] = (listed.version_tag, since if mark == listed.version_tag else now)
        return mark == listed.version_tag and now - since >= MIN_AGE

    def _upsert(self, listed: ListedImage) -> ScanStep:
        path, revision = PurePosixPath(listed.path), next(self._revisions)
        facts: dict[str, object] = {"title": path.stem.replace("_", " ").replace("-", " ").strip()}
        if self.categories and path.parent.name:
            facts["category"] = path.parent.name
        try:
            images = (self.location.reference(listed.path),)
            identity = {"tenant": self.tenant, "item_id": listed.path, "source": self.source, "revision": revision}
            facts |= {"images": images, "created_at": listed.changed_at.astimezone(UTC)}
            item = ItemUpserted.model_validate(identity | {name: value for name, value in facts.items() if value})
            return ScanStep(item, listed, None)
        except ValidationError as error:
            return ScanStep(BadRow(0, f"{listed.path}: {describe(error)}"), listed, None)
        except TryLater as error:
            return ScanStep(BadRow(0, f"{listed.path}: {error.message}"), None, None)
        except Failure as error:
            return ScanStep(BadRow(0, f"{listed.path}: {error.message}"), listed, None)

    def _deletion(self, path: str) -> Publishable:
        try:
            return ItemDeleted(tenant=self.tenant, item_id=path, source=self.source, revision=next(self._revisions))
        except ValidationError as error:  # then it was never an item
            return BadRow(0, f"{path}: {describe(error)}")
