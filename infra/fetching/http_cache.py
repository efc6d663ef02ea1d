"""HTTP cache: a folder of downloaded pictures with their ETag or Last-Modified, for conditional requests."""

import hashlib
import json
import os
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SWEEP_SHARE = 20
"""The cache is swept after writes of 1/20 of its size limit, and is then reduced to 19/20 of the limit."""
STALE_SECONDS = 3_600
"""Age in seconds at which a partial file counts as abandoned by a killed process."""


@dataclass(frozen=True)
class CachedResponse:
    """A cached response with a picture."""

    etag: str
    modified: str
    """Last-Modified header; it or `etag` may be empty, but not both."""
    body: bytes

    @property
    def conditions(self) -> dict[str, str]:
        """Request headers that ask for the picture only if it has changed."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.modified}


class HttpCache:
    """Caches pictures by URL in about `max_bytes` at most, with eviction of the least recently used.

    Threads and processes may share a folder: files are written under temporary names, renamed, and contain their
    checksum, so that a reader finds a complete picture or none. Disk errors only prevent caching.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._written = max_bytes  # other processes' writes are unknown, so the first write sweeps
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def find(self, url: str) -> CachedResponse | None:
        """The cached response of a URL, if there is one."""
        path = self._path(url)
        try:
            head, _, body = path.read_bytes().partition(b"\n")
            metadata = json.loads(head)
            if metadata["sha256"] != hashlib.sha256(body).hexdigest():
                return None
            os.utime(path)
            return CachedResponse(str(metadata["etag"]), str(metadata["modified"]), body)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # missing, or incomplete, as after a power loss

    def keep(self, url: str, picture: CachedResponse) -> None:
        """Store a response in place of an older one of its URL."""
        if not picture.etag and not picture.modified:
            return
        checksum = hashlib.sha256(picture.body).hexdigest()
        metadata = {"etag": picture.etag, "modified": picture.modified, "sha256": checksum}
        with suppress(OSError):
            self._write(self._path(url), json.dumps(metadata).encode() + b"\n" + picture.body)
            self._sweep_if_due(len(picture.body))

    def _path(self, url: str) -> Path:
        return self._folder / hashlib.sha256(url.encode()).hexdigest()

    def _write(self, path: Path, content: bytes) -> None:
        handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
        try:
            with open(handle, "wb") as file:
                file.write(content)
            os.replace(name, path)
        except OSError:
            os.unlink(name)
            raise

    def _sweep_if_due(self, written: int) -> None:
        with self._lock:
            self._written += written
            if self._written * SWEEP_SHARE < self._max_bytes:
                return
            self._written = 0
        self._sweep()

    def _sweep(self) -> None:
        """Remove the least recently used files above the limit, and partial files of killed processes."""
        files = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # another process sweeps too
                    files.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
        stale = time.time() - STALE_SECONDS
        excess = sum(size for _, size, _ in files) - self._max_bytes * (SWEEP_SHARE - 1) // SWEEP_SHARE
        for used_at, size, path in sorted(files):
            is_partial = path.endswith(".part")
            if (is_partial and used_at < stale) or (not is_partial and excess > 0):
                with suppress(FileNotFoundError):
                    os.unlink(path)
                excess -= size
