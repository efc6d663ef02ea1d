"""Looks that are kept: nothing is encoded twice, and nothing stale is believed."""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from consumers.quality.evaluation.embedding_store import open_embedding_store
from consumers.vision.colour import make_colour_extractor
from consumers.vision.embedder import EmbedOptions, ImageEmbedder
from consumers.vision.look import Look
from infra.array_types import Floats
from infra.encoder import PreparedViews
from infra.encoder.grid import GridEncoder
from infra.images.decode import DecodeLimits
from schemas.failures import Failure
from schemas.searches import Crop


@dataclass(frozen=True)
class CountingEncoder(GridEncoder):
    """The quick encoder, which counts what it was shown."""

    batch_sizes: list[int] = field(default_factory=list)

    def run(self, batch: Sequence[PreparedViews]) -> Floats:
        self.batch_sizes.append(len(batch))
        return super().run(batch)


@pytest.fixture
def embedder() -> Iterator[ImageEmbedder]:
    with ThreadPoolExecutor(2) as pool:
        yield ImageEmbedder(CountingEncoder(), make_colour_extractor(), DecodeLimits(thumbnail=0), pool)


def plain(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(out, "PNG")
    return out.getvalue()


def test_a_second_run_encodes_nothing_and_sees_the_same(tmp_path: Path, embedder: ImageEmbedder) -> None:
    pictures = [plain("red"), plain("blue"), plain("red")]
    with open_embedding_store(tmp_path, embedder) as looks:
        first = looks.embed(pictures)
    with open_embedding_store(tmp_path, embedder) as looks:
        second = looks.embed(pictures)
        assert (looks.requested, looks.cache_hits) == (3, 3)
    assert isinstance(embedder.encoder, CountingEncoder)
    assert embedder.encoder.batch_sizes == [2]
    for one, other in zip(first, second, strict=True):
        assert isinstance(one, Look)
        assert isinstance(other, Look)
        assert np.array_equal(one.vector, other.vector)
        assert (one.colours, one.palette, one.width, one.height) == (
            other.colours, other.palette, other.width, other.height,
        )  # fmt: skip


def test_another_encoder_looks_afresh(tmp_path: Path, embedder: ImageEmbedder) -> None:
    other = replace(embedder, encoder=CountingEncoder("fake:2"))
    for one in (embedder, other):
        with open_embedding_store(tmp_path, one) as looks:
            looks.embed([plain("red")])
            assert looks.cache_hits == 0


def test_bad_pictures_are_told_apart_and_not_kept(tmp_path: Path, embedder: ImageEmbedder) -> None:
    with open_embedding_store(tmp_path, embedder) as looks:
        for _ in range(2):
            bad, good = looks.embed([b"no picture", plain("red")])
            assert isinstance(bad, Failure)
            assert isinstance(good, Look)
        assert looks.cache_hits == 1


def test_crops_are_looked_at_afresh(tmp_path: Path, embedder: ImageEmbedder) -> None:
    with open_embedding_store(tmp_path, embedder) as looks:
        looks.embed([plain("red")])
        looks.embed([plain("red")], [Crop(x=0, y=0, w=0.5, h=0.5)])
        assert looks.cache_hits == 0


def test_the_things_in_a_picture_are_looked_for_afresh(tmp_path: Path, embedder: ImageEmbedder) -> None:
    with open_embedding_store(tmp_path, embedder) as looks:
        looks.embed([plain("red")])
        looks.embed([plain("red")], (), EmbedOptions(objects="auto"))
        assert looks.cache_hits == 0
