"""The looks of the null pictures, which are cached on the machine."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from consumers.scoring.null_embeddings import NullEmbeddings, null_embeddings_path
from consumers.scoring.sampling import NullSample
from consumers.vision.embedder import DEFAULT_OPTIONS, EmbedOptions, ImageEmbedder
from consumers.vision.look import Look
from schemas.failures import Failure
from schemas.searches import Crop

FEW = 8


def embed_null_pictures(pictures: NullEmbeddings, embedder: ImageEmbedder) -> tuple[NullSample, int]:
    """The looks, and the number of pictures embedded for them."""
    embedded: list[bytes] = []

    def look_at(
        few: Sequence[bytes], crops: Sequence[Crop | None] = (), options: EmbedOptions = DEFAULT_OPTIONS
    ) -> Sequence[Look | Failure]:
        embedded.extend(few)
        return embedder.embed(few, crops, options)

    steps = pictures.embed(look_at)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value, len(embedded)


def test_they_are_looked_at_once_for_a_machine(embedder: ImageEmbedder, tmp_path: Path) -> None:
    file = null_embeddings_path(tmp_path / "cache", embedder.encoder.fingerprint)
    first, embedded = embed_null_pictures(NullEmbeddings(FEW, file), embedder)
    again, embedded_again = embed_null_pictures(NullEmbeddings(FEW, file), embedder)
    assert (embedded, embedded_again) == (FEW, 0)
    assert np.array_equal(first.looks, again.looks)
    assert np.array_equal(first.studio, again.studio)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_each_encoder_has_its_own(tmp_path: Path) -> None:
    assert null_embeddings_path(tmp_path, "fake:1") != null_embeddings_path(tmp_path, "fake:2")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken off"])
def test_a_broken_file_is_made_again(embedder: ImageEmbedder, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "nulls.npz"
    file.write_bytes(content)
    assert embed_null_pictures(NullEmbeddings(FEW, file), embedder)[1] == FEW
    assert embed_null_pictures(NullEmbeddings(FEW, file), embedder)[1] == 0


def test_a_place_that_cannot_be_written_is_no_failure(embedder: ImageEmbedder, tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("")
    assert embed_null_pictures(NullEmbeddings(FEW, tmp_path / "in the way" / "nulls.npz"), embedder)[1] == FEW
