"""Places that hold pictures: a folder, or what a bucket has under a prefix."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from infra.config.images import DEFAULT_TENANT, ImageSettings
from infra.console import BadInput
from infra.fetching.s3 import ObjectStore, StoredObject
from producers.image_refs import Locate, choose_root
from schemas.failures import Unavailable
from schemas.items import ImageRef, S3Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif")
"""What a picture's name ends in, in any case."""
SCHEME = "s3://"
LIST_SECONDS = 30.0


@dataclass(frozen=True)
class ListedImage:
    """One picture of a place: its path there, a mark that changes when it does, and when it last did."""

    path: str
    mark: str
    changed_at: datetime


class ImageLocation(Protocol):
    """Where pictures lie."""

    @property
    def name(self) -> str:
        """Tells it from other places."""

    def pictures(self) -> Iterator[ListedImage]:
        """All that are there now; raises Unavailable when that cannot be told."""

    def reference(self, path: str) -> ImageRef:
        """One of them as an event has it; raises Rejected."""


@dataclass(frozen=True)
class FolderLocation:
    """A folder and those in it. Names that begin with a point are passed over, and links to folders."""

    folder: Path
    locate: Locate

    @property
    def name(self) -> str:
        """Its whole path."""
        return str(self.folder.resolve())

    def pictures(self) -> Iterator[ListedImage]:
        """All that are there now; raises Unavailable when the folder is not."""
        for base, folders, files in os.walk(self.folder, onerror=_away):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                if is_picture(name) and (listed := self._listed(Path(base, name))) is not None:
                    yield listed

    def reference(self, path: str) -> ImageRef:
        """The picture at this path below the folder; raises Rejected."""
        return self.locate(path)

    def _listed(self, path: Path) -> ListedImage | None:
        try:
            known = path.stat()
        except OSError:  # it went away since, or leads nowhere
            return None
        mark = f"{known.st_size}-{known.st_mtime_ns}"
        return ListedImage(
            path.relative_to(self.folder).as_posix(), mark, datetime.fromtimestamp(known.st_mtime, UTC)
        )


@dataclass(frozen=True)
class BucketLocation:
    """What a bucket has under a prefix."""

    store: ObjectStore
    bucket: str
    prefix: str

    @property
    def name(self) -> str:
        """Its address."""
        return f"{SCHEME}{self.bucket}/{self.prefix}"

    def pictures(self) -> Iterator[ListedImage]:
        """All that are there now; raises Unavailable or Rejected."""
        for each in self.store.listing(self.bucket, self.prefix):
            if is_picture(each.key) and (path := self._path(each)):
                yield ListedImage(path, each.mark, each.changed_at)

    def reference(self, path: str) -> ImageRef:
        """The object of this path below the prefix."""
        return S3Image(bucket=self.bucket, key="/".join(part for part in (self.prefix, path) if part))

    def _path(self, each: StoredObject) -> str:
        return each.key.removeprefix(self.prefix).lstrip("/")


def location_of(text: str, settings: ImageSettings, tenant: str = DEFAULT_TENANT) -> ImageLocation:
    """The place: s3://BUCKET/PREFIX, a name that the tenant has in LOOKSTREAM_IMAGES_ROOTS, or a folder.

    Raises BadInput.
    """
    if not text.startswith(SCHEME):
        folders = settings.folders_of(tenant)
        return FolderLocation(folders.get(text, Path(text)), choose_root(text, folders))
    bucket, _, prefix = text.removeprefix(SCHEME).partition("/")
    if bucket not in settings.s3_buckets:
        raise BadInput(f"{text}: name the bucket in LOOKSTREAM_IMAGES_S3_BUCKETS, so that workers may read it too")
    return BucketLocation(ObjectStore(settings, LIST_SECONDS), bucket, prefix.strip("/"))


def is_picture(name: str) -> bool:
    """Whether a file or an object is one, by its name."""
    return name.lower().endswith(SUFFIXES) and not name.rpartition("/")[2].startswith(".")


def _away(error: OSError) -> None:
    raise Unavailable(f"{error.filename} cannot be read: {(error.strerror or 'unknown reason').lower()}")
