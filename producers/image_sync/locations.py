"""Image locations: list the pictures of a folder, or of a prefix in a bucket."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from infra.config.errors import BadInput
from infra.config.images import DEFAULT_TENANT, ImageSettings
from infra.fetching.s3 import ObjectStore, StoredObject
from infra.images.formats import is_picture_name
from producers.image_refs import Locate, choose_root
from schemas.failures import Unavailable
from schemas.items import ImageRef, S3Image

SCHEME = "s3://"
LIST_SECONDS = 30.0


@dataclass(frozen=True)
class ListedImage:
    """One picture of a location: its relative path, a mark of its version, and its modification time."""

    path: str
    version_tag: str
    changed_at: datetime


class ImageLocation(Protocol):
    """A source of pictures."""

    @property
    def name(self) -> str:
        """Unique name of the location."""

    def pictures(self) -> Iterator[ListedImage]:
        """All present pictures; raises Unavailable if they cannot be listed."""

    def reference(self, path: str) -> ImageRef:
        """The reference to a picture for an event; raises Rejected."""


@dataclass(frozen=True)
class FolderLocation:
    """A folder and its subfolders. Names that begin with a dot, and links to folders, are ignored."""

    folder: Path
    locate: Locate

    @property
    def name(self) -> str:
        """The absolute path."""
        return str(self.folder.resolve())

    def pictures(self) -> Iterator[ListedImage]:
        """All present pictures; raises Unavailable if a folder cannot be read."""
        for base, folders, files in os.walk(self.folder, onerror=_raise_unavailable):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                if is_picture(name) and (listed := self._list_one(Path(base, name))) is not None:
                    yield listed

    def reference(self, path: str) -> ImageRef:
        """The reference to a picture at this path below the folder; raises Rejected."""
        return self.locate(path)

    def _list_one(self, path: Path) -> ListedImage | None:
        try:
            status = path.stat()
        except OSError:  # deleted meanwhile, or a broken link
            return None
        mark = f"{status.st_size}-{status.st_mtime_ns}"
        return ListedImage(
            path.relative_to(self.folder).as_posix(), mark, datetime.fromtimestamp(status.st_mtime, UTC)
        )


@dataclass(frozen=True)
class BucketLocation:
    """The objects of a bucket under a prefix."""

    store: ObjectStore
    bucket: str
    prefix: str

    @property
    def name(self) -> str:
        """The s3:// address."""
        return f"{SCHEME}{self.bucket}/{self.prefix}"

    def pictures(self) -> Iterator[ListedImage]:
        """All present pictures; raises Unavailable or Rejected."""
        for each in self.store.list_objects(self.bucket, self.prefix):
            if is_picture(each.key) and (path := self._path(each)):
                yield ListedImage(path, each.version_tag, each.changed_at)

    def reference(self, path: str) -> ImageRef:
        """The reference to the object at this path below the prefix."""
        return S3Image(bucket=self.bucket, key="/".join(part for part in (self.prefix, path) if part))

    def _path(self, each: StoredObject) -> str:
        return each.key.removeprefix(self.prefix).lstrip("/")


def location_of(text: str, settings: ImageSettings, tenant: str = DEFAULT_TENANT) -> ImageLocation:
    """The location for s3://BUCKET/PREFIX, a name of the tenant in LOOKSTREAM_IMAGES_ROOTS, or a folder.

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
    """Whether the name of a file or an object is that of a picture."""
    return is_picture_name(name) and not name.rpartition("/")[2].startswith(".")


def _raise_unavailable(error: OSError) -> None:
    raise Unavailable(f"{error.filename} cannot be read: {(error.strerror or 'unknown reason').lower()}")
