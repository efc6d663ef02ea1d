"""The embedding cache: a picture is embedded once, a failure is not cached, and the size is bounded."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consumers.embedding.cache import EmbeddingCache
from consumers.vision.embedder import DEFAULT_OPTIONS, EmbedOptions
from consumers.vision.look import Look
from schemas.failures import Code, Failure, Rejected
from schemas.searches import Crop

LEFT = Crop(x=0, y=0, w=0.5, h=1)
BROKEN = Rejected(Code.IMAGE_UNREADABLE, "broken, for the test")


@dataclass
class RecordingEmbedder:
    """Records the first byte and the crop of each picture; pictures that start with an x are broken."""

    embedded: list[tuple[bytes, Crop | None]] = field(default_factory=list)

    def embed(
        self, pictures: Sequence[bytes], crops: Sequence[Crop | None] = (), options: EmbedOptions = DEFAULT_OPTIONS
    ) -> list[Look | Failure]:
        pairs = list(zip(pictures, crops or [None] * len(pictures), strict=True))
        self.embedded += pairs
        return [BROKEN if picture.startswith(b"x") else look_of(picture, crop) for picture, crop in pairs]


def look_of(picture: bytes, crop: Crop | None) -> Look:
    vector = np.array([picture[0], crop is not None], np.float32)
    return Look(vector, colours=(), palette=(), thumbnail=None, width=1, height=1, encoded_ms=5.0)


def test_a_picture_is_looked_at_once_and_a_part_of_it_is_another_picture() -> None:
    embedder = RecordingEmbedder()
    looks = EmbeddingCache(embedder.embed)
    [first] = looks.embed([b"a"])
    again, part = looks.embed([b"a", b"a"], [None, LEFT])
    assert embedder.embedded == [(b"a", None), (b"a", LEFT)]
    assert isinstance(first, Look)
    assert isinstance(again, Look)
    assert isinstance(part, Look)
    assert again.vector is first.vector
    assert (first.encoded_ms, again.encoded_ms, part.encoded_ms) == (5.0, 0.0, 5.0)
    assert part.vector[1] == 1


def test_a_picture_that_cannot_be_seen_is_tried_each_time() -> None:
    embedder = RecordingEmbedder()
    looks = EmbeddingCache(embedder.embed)
    assert looks.embed([b"x", b"x"]) == [BROKEN, BROKEN]
    assert looks.embed([b"x"]) == [BROKEN]
    assert len(embedder.embedded) == 2


@given(
    st.lists(st.lists(st.sampled_from([b"a", b"b", b"c", b"d", b"x"]), max_size=6), max_size=12), st.integers(1, 3)
)
def test_cached_looks_equal_new_ones(batches: list[list[bytes]], most: int) -> None:
    looks = EmbeddingCache(RecordingEmbedder().embed, most)
    for batch in batches:
        found = looks.embed(batch)
        assert len(looks) <= most
        for picture, look in zip(batch, found, strict=True):
            assert look is BROKEN if picture == b"x" else isinstance(look, Look) and look.vector[0] == picture[0]


def test_those_asked_for_last_are_kept() -> None:
    embedder = RecordingEmbedder()
    looks = EmbeddingCache(embedder.embed, most=2)
    for picture in (b"a", b"b", b"a", b"c", b"a", b"b"):
        looks.embed([picture])
    assert [picture for picture, _ in embedder.embedded] == [b"a", b"b", b"c", b"b"]


def test_a_picture_is_embedded_again_for_the_things_in_it() -> None:
    embedder = RecordingEmbedder()
    looks = EmbeddingCache(embedder.embed)
    for objects in ("none", "auto", "none", "auto"):
        looks.embed([b"a"], (), EmbedOptions(objects=objects))
    assert len(embedder.embedded) == 2
