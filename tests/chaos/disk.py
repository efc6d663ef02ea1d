"""A small disk that can be filled: a file system in memory where one may be mounted, else a part of a real one."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Disk:
    """A folder whose free space is a test's own. `why_not` says why it could not be mounted, where it was not."""

    folder: Path
    why_not: str = ""

    @property
    def free(self) -> int:
        """Bytes that are free."""
        return shutil.disk_usage(self.folder).free

    def fill(self, leave: int) -> None:
        """Leave so many bytes free."""
        self.clear()
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, self.free - leave))

    def clear(self) -> None:
        """Make space again."""
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


@contextmanager
def open_disk(folder: Path, size: int) -> Iterator[Disk]:
    """A disk of so many bytes, gone afterwards; a plain folder where this user may mount nothing."""
    folder.mkdir(parents=True)
    why_not = _mount(folder, size)
    try:
        yield Disk(folder, why_not)
    finally:
        if not why_not:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(folder: Path, size: int) -> str:
    """Mount a file system in memory; why that did not work, if it did not."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"no mount command here ({error.strerror})"
    return "" if done.returncode == 0 else done.stderr.strip() or f"mount ended with exit code {done.returncode}"
