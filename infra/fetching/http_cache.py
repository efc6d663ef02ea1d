"""A folder of pictures that were downloaded before, each with what tells its server which version we have."""

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
"""The folder is swept when a twentieth of its size was written since, down to a twentieth below its size."""
STALE_SECONDS = 3_600
"""Age of a half-written file that nobody is writing any more: its process was killed."""


@dataclass(frozen=True)
class CachedResponse:
    """A picture as its server gave it."""

    etag: str
    modified: str
    """The server's Last-Modified; it and `etag` may be empty, but not both."""
    body: bytes

    @property
    def conditions(self) -> dict[str, str]:
        """The headers that ask for the picture only if it has changed."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.modified}


class HttpCache:
    """Keeps pictures by their address in at most about `max_bytes`; those that were used last stay.

    Any number of threads and processes may share a folder: files are written beside and renamed, and carry their
    checksum, so that a reader finds a whole picture or none. A disk that fails only means that nothing is kept.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._written = max_bytes  # unknown what others wrote before: the first write sweeps
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def find(self, url: str) -> CachedResponse | None:
        """The picture that was kept for this address, if any."""
        path = self._path(url)
        try:
            head, _, body = path.read_bytes().partition(b"\n")
            facts = json.loads(head)
            if facts["sha256"] != hashlib.sha256(body).hexdigest():
                return None
            os.utime(path)
            return CachedResponse(str(facts["etag"]), str(facts["modified"]), body)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # not there, or not whole: a power loss can leave such a file

    def keep(self, url: str, picture: CachedResponse) -> None:
        """Keep a picture in place of an older one of its address."""
        if not picture.etag and not picture.modified:
            return
        checksum = hashlib.sha256(picture.body).hexdigest()
        facts = {"etag": picture.etag, "modified": picture.modified, "sha256": checksum}
        with suppress(OSError):
            self._write(self._path(url), json.dumps(facts).encode() + b"\n" + picture.body)
            self._sweep_in_time(len(picture.body))

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

    def _sweep_in_time(self, count: int) -> None:
        with self._lock:
            self._written += count
            if self._written * SWEEP_SHARE < self._max_bytes:
                return
            self._written = 0
        self._sweep()

    def _sweep(self) -> None:
        """Remove what was not used for longest until there is room, and what killed processes left half-written."""
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # another process sweeps too
                    found.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
        stale = time.time() - STALE_SECONDS
        surplus = sum(size for _, size, _ in found) - self._max_bytes * (SWEEP_SHARE - 1) // SWEEP_SHARE
        for used, size, path in sorted(found):
            half = path.endswith(".part")
            if (half and used < stale) or (not half and surplus > 0):
                with suppress(FileNotFoundError):
                    os.unlink(path)
                surplus -= size
