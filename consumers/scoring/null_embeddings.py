"""Looks at the null pictures: taken a few at a time, and kept for the machine, so that they are taken once."""

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import structlog

from consumers.scoring.sampling import NullSample
from consumers.vision.embedder import Look, code_of_looks
from consumers.vision.null_images import NULLS, encoded, null_pictures
from schemas.failures import Failure

PICTURES = 4
"""Null pictures that are looked at in one slice: less than a small batch of searches."""

EmbedNulls = Callable[[Sequence[bytes]], Sequence[Look | Failure]]
"""Looks at encoded pictures, all in one batch."""


@dataclass(frozen=True)
class NullEmbeddings:
    """So many of them; looks at them are kept in `file`, if one is named."""

    count: int = NULLS
    file: Path | None = None

    def looks(self, look_at: EmbedNulls) -> Generator[None, None, NullSample]:
        """The looks at all of them, a slice at each step; those that are kept come at once."""
        kept = self._read()
        if kept is not None:
            return kept
        looks: list[Look] = []
        pictures = null_pictures(self.count)
        while few := [encoded(picture) for picture in islice(pictures, PICTURES)]:
            looks += [look for look in look_at(few) if isinstance(look, Look)]
            yield
        studio = np.array([look.studio for look in looks], np.int8)
        nulls = NullSample(np.stack([look.vector for look in looks]), studio)
        self._write(nulls)
        return nulls

    def _read(self) -> NullSample | None:
        if self.file is None:
            return None
        try:
            with self.file.open("rb") as opened, np.load(opened, allow_pickle=False) as kept:
                return NullSample(kept["looks"].astype(np.float32), kept["studio"].astype(np.int8))
        except (OSError, EOFError, ValueError, KeyError, BadZipFile):  # not there, or broken
            return None

    def _write(self, nulls: NullSample) -> None:
        if self.file is None:
            return
        draft = self.file.with_suffix(f".{os.getpid()}.npz")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(draft, looks=nulls.looks, studio=nulls.studio)
            draft.replace(self.file)
        except OSError as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            structlog.get_logger().debug("null pictures are not kept", why=str(error))


def null_file(cache: Path, fingerprint: str) -> Path:
    """Where the looks by an encoder are kept; another place after any change to how pictures are looked at."""
    name = sha256(f"{fingerprint} {code_of_looks()}".encode()).hexdigest()[:24]
    return cache.expanduser() / f"nulls-{name}.npz"
