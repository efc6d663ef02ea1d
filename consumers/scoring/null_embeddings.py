"""Null embeddings: compute the looks of the null pictures in small batches, and cache them in a file."""

import os
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import structlog

from consumers.scoring.sampling import NullSample
from consumers.vision.embedder import EmbedImages
from consumers.vision.look import Look
from consumers.vision.look_vector import look_code_version
from consumers.vision.null_images import NULL_IMAGE_COUNT, encode_jpeg, null_pictures

PICTURES_PER_STEP = 4
"""Null pictures that are embedded in one step: fewer than the pictures of a small batch of searches."""


@dataclass(frozen=True)
class NullEmbeddings:
    """Looks of `count` null pictures; they are cached in `file`, unless it is None."""

    count: int = NULL_IMAGE_COUNT
    file: Path | None = None

    def embed(self, embed: EmbedImages) -> Generator[None, None, NullSample]:
        """Generate the looks, PICTURES_PER_STEP pictures at each step; return them at once if they are cached."""
        cached_nulls = self._read()
        if cached_nulls is not None:
            return cached_nulls
        looks: list[Look] = []
        pictures = null_pictures(self.count)
        while batch := [encode_jpeg(picture) for picture in islice(pictures, PICTURES_PER_STEP)]:
            looks += [look for look in embed(batch) if isinstance(look, Look)]
            yield
        studio = np.array([look.studio for look in looks], np.int8)
        nulls = NullSample(np.stack([look.vector for look in looks]), studio)
        self._write(nulls)
        return nulls

    def _read(self) -> NullSample | None:
        if self.file is None:
            return None
        try:
            with self.file.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return NullSample(arrays["looks"].astype(np.float32), arrays["studio"].astype(np.int8))
        except (OSError, EOFError, ValueError, KeyError, BadZipFile):  # missing or corrupt
            return None

    def _write(self, nulls: NullSample) -> None:
        if self.file is None:
            return
        temporary = self.file.with_suffix(f".{os.getpid()}.npz")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(temporary, looks=nulls.looks, studio=nulls.studio)
            temporary.replace(self.file)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            structlog.get_logger().debug("null embeddings not written to disk", reason=str(error))


def null_embeddings_path(cache: Path, fingerprint: str) -> Path:
    """Return the path of an encoder's cached null looks; it changes with the code that computes looks."""
    name = sha256(f"{fingerprint} {look_code_version()}".encode()).hexdigest()[:24]
    return cache.expanduser() / f"nulls-{name}.npz"
