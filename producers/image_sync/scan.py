"""Location scan: new and changed pictures of a location become upserts, missing ones become deletions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import NamedTuple

from pydantic import ValidationError

from producers.image_sync.file_names import visible_path
from producers.image_sync.locations import ImageLocation, ListedImage, UnlistedPath
from producers.ingest.publish import Publishable
from producers.row_reader import BadRow, revisions
from schemas.envelope import describe
from schemas.failures import Code, Failure, TryLater, Unavailable
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


class PathChange(NamedTuple):
    """A path that a scan has found changed, and the revision of its event. A missing picture is its path alone."""

    found: ListedImage | UnlistedPath | str
    revision: int


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
    _reported: dict[str, str] = field(default_factory=dict)
    """Paths that cannot be listed, with the reasons: each is reported once."""
    _refused: dict[str, str] = field(default_factory=dict)
    """Pictures that may not be read, with their marks: the next run tries them again, and this one does not."""

    def scan(self, known: Mapping[str, str], now: datetime) -> Iterator[ScanStep]:
        """Scan once, and yield the differences from `known`. A picture is read when its step is due."""
        return map(self.step_of, self.changes(known, now))

    def changes(self, known: Mapping[str, str], now: datetime) -> Iterator[PathChange]:
        """Scan once, and yield each difference from `known` (path -> mark) when it is found; missing pictures last.

        Raises Unavailable if the location is missing, or, before the first missing picture, if most of them are.
        """
        missing, unsettled, unlisted = dict(known), dict[str, tuple[str, datetime]](), dict[str, str]()
        for found in self.location.pictures():
            if isinstance(found, UnlistedPath):
                unlisted[found.path] = found.reason
                if self._reported.get(found.path) != found.reason:
                    yield PathChange(found, 0)
            elif found.version_tag not in (missing.pop(found.path, None), self._refused.get(found.path)):
                if self._is_settled(found, now):
                    yield PathChange(found, next(self._revisions))
                else:
                    unsettled[found.path] = self._changing[found.path]
        self.incomplete_paths, self._changing, self._reported = list(unsettled), unsettled, unlisted
        gone = [path for path in missing if not _is_below(path, unlisted)]
        self._check_mass_deletion(len(gone), len(known))
        for path in sorted(gone):
            yield PathChange(path, next(self._revisions))

    def step_of(self, change: PathChange) -> ScanStep:
        """The step for a change; reads the picture. Thread-safe. Raises Unavailable or Fault of a content store."""
        found, revision = change
        if isinstance(found, UnlistedPath):
            return ScanStep(BadRow(0, f"{visible_path(found.path)}: {found.reason}"), None, None)
        if isinstance(found, ListedImage):
            return self._upsert(found, revision)
        return ScanStep(self._deletion(found, revision), None, found)

    def _check_mass_deletion(self, gone: int, known: int) -> None:
        if known >= GUARDED_COUNT and gone > MAX_MISSING_SHARE * known and not self.allow_mass_deletion:
            raise Unavailable(
                f"{gone} of {known} pictures of {visible_path(self.location.name)} are gone at once: "
                "is it mounted? To delete their items, give --let-go"
            )

    def _is_settled(self, listed: ListedImage, now: datetime) -> bool:
        """Whether a picture is complete: it is older than MIN_AGE, or unchanged for that long by the local clock.

        If the clock of another machine is ahead, its files would never be old enough.
        """
        if listed.changed_at <= now - MIN_AGE:
            return True
        mark, since = self._changing.get(listed.path, ("", now))
        self._changing[listed.path] = (listed.version_tag, since if mark == listed.version_tag else now)
        return mark == listed.version_tag and now - since >= MIN_AGE

    def _upsert(self, listed: ListedImage, revision: int) -> ScanStep:
        path = PurePosixPath(listed.path)
        facts: dict[str, object] = {"title": path.stem.replace("_", " ").replace("-", " ").strip()}
        if self.categories and path.parent.name:
            facts["category"] = path.parent.name
        if not listed.size:
            return ScanStep(BadRow(0, f"{listed.path}: the picture is an empty file"), listed, None)
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
            is_refused = error.code is Code.SOURCE_REFUSED  # permissions change without a new mark
            if is_refused:
                self._refused[listed.path] = listed.version_tag
            return ScanStep(BadRow(0, f"{listed.path}: {error.message}"), None if is_refused else listed, None)

    def _deletion(self, path: str, revision: int) -> Publishable:
        try:
            return ItemDeleted(tenant=self.tenant, item_id=path, source=self.source, revision=revision)
        except ValidationError as error:  # then it was never an item
            return BadRow(0, f"{path}: {describe(error)}")


def _is_below(path: str, folders: Mapping[str, str]) -> bool:
    """Whether one of these folders or files is on the way to a path, or the path itself."""
    if not folders:
        return False
    return path in folders or any(parent.as_posix() in folders for parent in PurePosixPath(path).parents)
