"""Content store: keeps pictures once by their content, so that events carry a reference (the claim check pattern).

A picture stays for LOOKSTREAM_IMAGES_CONTENT_DAYS after it was last put, and longer while the index has it; the
sweep (consumers/indexing/content_sweep.py) removes the others.
"""

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from infra.config.images import CONTENT_ROOT
from infra.config.settings import Settings
from schemas.failures import Code, TryLater
from schemas.items import FileImage, ImageRef, InlineImage, ItemUpserted

FOLDER = "pictures"
"""Name of the local store in the data folder."""
PART_PICTURES = 64
"""Maximum number of pictures that a sweep handles in one step."""
MIN_FREE_BYTES = 512 << 20
"""Free disk space below which no picture is written: the embedded index, on the same disk, needs 256 MB."""
TEMPORARY = ".new-"
"""Prefix of the names of temporary files."""
STALE_SECONDS = 3_600
"""Age in seconds at which a temporary file counts as abandoned by a killed process."""
CHECKSUM_LENGTH = 64


@dataclass(frozen=True)
class StoredPicture:
    """A picture of the content store; its checksum is its name."""

    tenant: str
    sha256: str
    size: int


class ContentStore(Protocol):
    """Pictures by tenant and content. Thread-safe; processes may share a store."""

    def put(self, tenant: str, data: bytes) -> ImageRef:
        """Keep a picture, and return the reference for an event; putting it again renews its age.

        Raises TryLater if this picture cannot be written now, Unavailable or Fault if no picture can be written.
        """

    def exists(self, tenant: str, checksum: str) -> bool:
        """Whether the store has the tenant's picture with this SHA-256."""

    def not_put_since(self, moment: datetime) -> Iterator[Sequence[StoredPicture]]:
        """The pictures that were last put before this time, in small parts, which may be empty."""

    def remove(self, picture: StoredPicture, moment: datetime) -> bool:
        """Remove a picture unless it was put since this time; returns whether it was removed."""


class LocalContentStore:
    """Keeps each picture as TENANT/AB/SHA256 in a folder that only the user can read.

    A file is complete or missing; its mtime is the time of its last put. A put and a removal exclude each other by
    a lock of the whole folder, so a picture that was just put is not removed. The data of a file is on disk before
    its name. A power loss may lose the name, as it may lose the events of the local broker.
    """

    def __init__(self, folder: Path, min_free: int = MIN_FREE_BYTES) -> None:
        self._folder, self._min_free = folder, min_free

    def put(self, tenant: str, data: bytes) -> FileImage:
        """See ContentStore; raises TryLater, for example when the disk is full."""
        checksum = sha256(data).hexdigest()
        path = self._path(tenant, checksum)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._lock(fcntl.LOCK_SH):
                is_stored = _renew(path, len(data))
            if not is_stored:
                self._write(path, data)
        except OSError as error:
            reason = error.strerror or "unknown reason"
            message = f"the picture was not written to {self._folder} ({reason}): make space there, or correct it"
            raise TryLater(Code.IMAGE_UNREACHABLE, message) from None
        return FileImage(root=CONTENT_ROOT, path=f"{checksum[:2]}/{checksum}", sha256=checksum)

    def exists(self, tenant: str, checksum: str) -> bool:
        return self._path(tenant, checksum).is_file()

    def not_put_since(self, moment: datetime) -> Iterator[Sequence[StoredPicture]]:
        self._remove_abandoned()
        for tenant in _names(self._folder):
            for part in _names(self._folder / tenant):
                folder = self._folder / tenant / part
                found = []
                for entry in _entries(folder):
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        if len(entry.name) == CHECKSUM_LENGTH and status.st_mtime < moment.timestamp():
                            found.append(StoredPicture(tenant, entry.name, status.st_size))
                yield from _in_parts(found)

    def remove(self, picture: StoredPicture, moment: datetime) -> bool:
        path = self._path(picture.tenant, picture.sha256)
        with self._lock(fcntl.LOCK_EX):
            try:
                if path.stat().st_mtime >= moment.timestamp():
                    return False
                path.unlink()
            except FileNotFoundError:
                return False
            with suppress(OSError):  # it has other pictures
                path.parent.rmdir()
        return True

    def _path(self, tenant: str, checksum: str) -> Path:
        return self._folder / tenant / checksum[:2] / checksum

    def _write(self, path: Path, data: bytes) -> None:
        if shutil.disk_usage(self._folder).free < self._min_free:
            raise OSError(errno.ENOSPC, f"less than {self._min_free >> 20} MB are free on its disk")
        # Only the user may read the file.
        descriptor, temporary = tempfile.mkstemp(dir=self._folder, prefix=TEMPORARY)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            with self._lock(fcntl.LOCK_SH):
                for folder in (path.parent.parent, path.parent):
                    folder.mkdir(mode=0o700, exist_ok=True)
                os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise

    def _remove_abandoned(self) -> None:
        """Remove the temporary files of killed processes."""
        for entry in _entries(self._folder):
            with suppress(FileNotFoundError):
                if entry.name.startswith(TEMPORARY) and entry.stat().st_mtime < time.time() - STALE_SECONDS:
                    os.unlink(entry.path)

    @contextmanager
    def _lock(self, kind: int) -> Iterator[None]:
        descriptor = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)


def open_content_store(settings: Settings) -> ContentStore | None:
    """The content store of these settings: a bucket if one is set, else the data folder in local mode.

    None if the user has own brokers but no bucket: other machines could not read the data folder, so the events
    themselves contain the pictures.
    """
    if settings.images.content_place is not None:
        from infra.fetching.bucket_content_store import (
            open_bucket_store,  # local mode needs no client of object stores
        )

        return open_bucket_store(settings.images)
    return None if settings.kafka.bootstrap else LocalContentStore(content_folder(settings))


def content_folder(settings: Settings) -> Path:
    """The folder of the local content store."""
    return settings.data / FOLDER


def move_images(item: ItemUpserted, store: ContentStore) -> ItemUpserted:
    """Put the inline pictures of an item into the store; return the item with references instead.

    Raises as ContentStore.put.
    """
    images = tuple(
        store.put(item.tenant, image.data) if isinstance(image, InlineImage) else image for image in item.images
    )
    return item.model_copy(update={"images": images})


def _renew(path: Path, size: int) -> bool:
    """Set the mtime of a stored picture to now; returns False if it is missing or incomplete."""
    try:
        os.utime(path)
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _names(folder: Path) -> list[str]:
    """The names in a folder, without hidden ones, sorted."""
    return sorted(entry.name for entry in _entries(folder) if not entry.name.startswith("."))


def _entries(folder: Path) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _in_parts(pictures: list[StoredPicture]) -> Iterator[Sequence[StoredPicture]]:
    """Parts of at most PART_PICTURES; one empty part if there are none."""
    for start in range(0, max(len(pictures), 1), PART_PICTURES):
        yield pictures[start : start + PART_PICTURES]
