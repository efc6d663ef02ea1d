"""A catalogue of photos whose category shows at their edges, and an encoder with the mean of two views."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from consumers.vision.contracts import EncoderInput
from infra.array_types import Box, Floats, Pixels
from infra.encoder.grid import GridEncoder
from schemas.envelope import Event
from schemas.items import InlineImage, ItemUpserted

CATEGORIES, PER_CATEGORY = 8, 20
SIDE, EDGE = 64, 16
"""Pixels of a photo's sides, and of the edge that has the category's colours."""
NOISE = 200
"""Largest deviation of the colours of an edge."""


@dataclass(frozen=True)
class TwoViewEncoder:
    """The grid encoder, with the mean of all views of a picture, as the default encoders have."""

    grid: GridEncoder = field(default_factory=GridEncoder)
    fingerprint: str = "fake:1"
    object_size: int = GridEncoder.object_size
    style_size: int = GridEncoder.style_size

    @property
    def prepare(self) -> Callable[[Image.Image, Box], Pixels]:
        return self.grid.prepare

    @property
    def prepare_region(self) -> Callable[[Image.Image, Box], Pixels]:
        return self.grid.prepare

    def run(self, batch: Sequence[EncoderInput]) -> Floats:
        rows = [self._mean([EncoderInput((view,), each.studio) for view in each.views]) for each in batch]
        return np.stack(rows) if rows else self.grid.run(())

    def _mean(self, views: Sequence[EncoderInput]) -> Floats:
        mean = self.grid.run(views).mean(0)
        parts = np.split(mean, [self.object_size])
        return np.concatenate([part / np.linalg.norm(part) for part in parts]).astype(np.float32)


def framed_photo(number: int) -> bytes:
    """A photo of category `number % CATEGORIES`: its colours at the edges, others in the middle, as PNG."""
    rng, category = np.random.default_rng(number), np.random.default_rng(1000 + number % CATEGORIES)
    cells = category.integers(0, 256, (4, 4, 3)) + rng.integers(-NOISE, NOISE + 1, (4, 4, 3))
    pixels = np.clip(cells, 0, 255).repeat(EDGE, 0).repeat(EDGE, 1)
    inner = slice(EDGE, SIDE - EDGE)
    pixels[inner, inner] = rng.integers(0, 256, (4, 4, 3)).repeat(EDGE // 2, 0).repeat(EDGE // 2, 1)
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def framed_items(count: int = CATEGORIES * PER_CATEGORY) -> list[Event]:
    """Upserts of framed photos, category by category in turn."""
    return [
        Event(
            ItemUpserted(
                item_id=f"i{number}",
                revision=1,
                images=(InlineImage(data=framed_photo(number)),),
                category=f"c{number % CATEGORIES}",
            )
        )
        for number in range(count)
    ]
