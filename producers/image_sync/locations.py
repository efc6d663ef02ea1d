"""Image locations: list the pictures of a folder, or of a prefix in a bucket."""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from infra.config.errors import BadInput
from infra.config.images import ImageSettings
from infra.fetching.s3 import ObjectStore, StoredObject
from infra.images.formats import MAGIC_BYTES
from producers.image_packer import ImagePacker
from producers.image_refs import Locate, choose_root
from producers.image_sync.file_names import PictureFilter, folder_reason, path_reason, suffix_of, visible_path
from schemas.failures import Fault, Unavailable
from schemas.items import ImageRef, S3Image

SCHEME = "s3://"
LIST_SECONDS = 30.0
MAX_TIME = 253_402_214_400
"""The last day that Python's datetime has, in seconds since 1970."""


@dataclass(frozen=True)
class ListedImage:
    """One picture of a location: its relative path, a mark of its version, its modification time, and its bytes."""

    path: str
    version_tag: str
    changed_at: datetime
    size: int


@dataclass(frozen=True)
class UnlistedPath:
    """A path that cannot be listed, and the reason. Pictures there, or below it, are unknown, not missing."""

    path: str
    reason: str


class ImageLocation(Protocol):
    """A source of pictures."""

    @property
    def name(self) -> str:
        """Unique name of the location."""

    @property
    def picture_filter(self) -> PictureFilter:
        """Decides which files are pictures, and counts the others."""

    def pictures(self) -> Iterator[ListedImage | UnlistedPath]:
        """All present pictures; raises Unavailable if the location itself cannot be listed."""

    def reference(self, path: str) -> ImageRef:
        """The reference to a picture for an event; raises Rejected or TryLater."""


@dataclass(frozen=True)
class FolderLocation:
    """A folder and its subfolders. Hidden and system folders, and links to folders, are passed over."""

    folder: Path
    locate: Locate
    excluded: Path | None = None
    """A folder that is passed over if it lies within: the data folder, whose content store has pictures too."""
    picture_filter: PictureFilter = field(default_factory=PictureFilter)

    @property
    def name(self) -> str:
        """The absolute path."""
        return str(self.folder.resolve())

    def pictures(self) -> Iterator[ListedImage | UnlistedPath]:
        """All present pictures, folder by folder, each by name; raises Unavailable if the folder cannot be read."""
        self.picture_filter.begin()
        excluded = None if self.excluded is None else self.excluded.resolve()
        waiting = [""]
        while waiting:
            path = waiting.pop()
            try:
                with os.scandir(self.folder / path) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                reason = f"cannot be read: {(error.strerror or 'unknown reason').lower()}"
                if not path:
                    raise Unavailable(f"{visible_path(str(self.folder))} {reason}") from None
                yield UnlistedPath(path, f"the folder {reason}")
                continue
            folders = []
            for entry in found:
                below = f"{path}/{entry.name}" if path else entry.name
                if not _is_folder(entry):
                    yield from self._list_file(entry, below)
                elif passed_over := _folder_reason(entry, excluded):
                    self.picture_filter.pass_over(passed_over)
                else:
                    folders.append(below)
            waiting += reversed(folders)

    def reference(self, path: str) -> ImageRef:
        """The reference to a picture at this path below the folder; raises Rejected or TryLater."""
        return self.locate(path)

    def _list_file(self, entry: "os.DirEntry[str]", path: str) -> Iterator[ListedImage | UnlistedPath]:
        """The file if it is a picture, or why it cannot be listed; nothing if it is passed over."""
        try:
            status = entry.stat()
            mark = f"{status.st_size}-{status.st_mtime_ns}"
            if not stat.S_ISREG(status.st_mode):
                self.picture_filter.pass_over("special file")
            elif self.picture_filter.is_picture(path, mark, lambda: _start_of(entry.path)):
                yield _listed(ListedImage(path, mark, _moment(status.st_mtime), status.st_size))
        except FileNotFoundError:
            self.picture_filter.pass_over("broken link" if entry.is_symlink() else "deleted meanwhile")
        except OSError as error:
            if error.errno == errno.ELOOP:
                self.picture_filter.pass_over("broken link")
            else:
                yield UnlistedPath(path, f"cannot be read: {(error.strerror or 'unknown reason').lower()}")


@dataclass(frozen=True)
class BucketLocation:
    """The objects of a bucket under a prefix."""

    store: ObjectStore
    bucket: str
    prefix: str
    picture_filter: PictureFilter = field(default_factory=PictureFilter)

    @property
    def name(self) -> str:
        """The s3:// address."""
        return f"{SCHEME}{self.bucket}/{self.prefix}"

    def pictures(self) -> Iterator[ListedImage | UnlistedPath]:
        """All present pictures; raises Unavailable or Rejected."""
        self.picture_filter.begin()
        for each in self.store.list_objects(self.bucket, self.prefix):
            path = each.key.removeprefix(self.prefix).lstrip("/")
            *folders, _name = path.split("/")
            if reason := next((reason for folder in folders if (reason := folder_reason(folder))), None):
                self.picture_filter.pass_over(reason)
            elif path:
                yield from self._list_object(each, path)

    def reference(self, path: str) -> ImageRef:
        """The reference to the object at this path below the prefix."""
        return S3Image(bucket=self.bucket, key="/".join(part for part in (self.prefix, path) if part))

    def _list_object(self, each: StoredObject, path: str) -> Iterator[ListedImage | UnlistedPath]:
        """The object if it is a picture, or why it cannot be listed; nothing if it is passed over."""

        def read_start() -> bytes:
            """The first bytes, if the key has no suffix: each look costs a request."""
            return b"" if suffix_of(path) else self.store.start_of(self.bucket, each, MAGIC_BYTES)

        try:
            if self.picture_filter.is_picture(path, each.version_tag, read_start):
                yield _listed(ListedImage(path, each.version_tag, each.changed_at, each.size))
        except FileNotFoundError:
            self.picture_filter.pass_over("deleted meanwhile")
        except (Unavailable, Fault) as error:
            yield UnlistedPath(path, str(error))


def location_of(
    text: str, settings: ImageSettings, packer: ImagePacker | None = None, excluded: Path | None = None
) -> ImageLocation:
    """The location for s3://BUCKET/PREFIX, a name of the tenant in LOOKSTREAM_IMAGES_ROOTS, or a folder.

    `packer` packs the pictures of a folder (default: small ones into events), and has the tenant; `excluded` is a
    folder that is passed over. Raises BadInput.
    """
    if not text.startswith(SCHEME):
        packer = packer or ImagePacker()
        folders = settings.folders_of(packer.tenant)
        return FolderLocation(folders.get(text, Path(text)), choose_root(text, folders, packer), excluded)
    bucket, _, prefix = text.removeprefix(SCHEME).partition("/")
    if bucket not in settings.s3_buckets:
        raise BadInput(f"{text}: name the bucket in LOOKSTREAM_IMAGES_S3_BUCKETS, so that workers may read it too")
    return BucketLocation(ObjectStore(settings, LIST_SECONDS), bucket, prefix.strip("/"))


def _folder_reason(entry: "os.DirEntry[str]", excluded: Path | None) -> str | None:
    """Why a folder is passed over; None if it is not."""
    if entry.is_symlink():
        return "link to a folder"
    if excluded is not None and entry.name == excluded.name and Path(entry.path).resolve() == excluded:
        return "data folder of lookstream"
    return folder_reason(entry.name)


def _start_of(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(MAGIC_BYTES)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _moment(seconds: float) -> datetime:
    """A file's time; broken clocks and archives leave some that no calendar has."""
    return datetime.fromtimestamp(min(max(seconds, 0), MAX_TIME), UTC)


def _listed(image: ListedImage) -> ListedImage | UnlistedPath:
    """The picture, or why no item can have its path as its id."""
    reason = path_reason(image.path)
    return image if reason is None else UnlistedPath(image.path, reason)
