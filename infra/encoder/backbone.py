"""Backbone: a frozen network with its preprocessing, which computes the features of pictures in batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import cast

import numpy as np
from PIL.Image import Image

from infra.array_types import Box, Floats, Pixels

CPU_BATCH = 8
"""Batch size on a CPU; larger activations exceed the caches (Lite2 fp32: 100 a second at 8, 84 at 32)."""


def l2_normalise(rows: Floats) -> Floats:
    """Scale float rows [N, d] to unit length; a row of zeros, which has no direction, becomes the first axis."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    first_axis = np.eye(1, rows.shape[1], dtype=np.float32)
    scaled: Floats = np.where(lengths > 0, rows / np.where(lengths > 0, lengths, 1), first_axis).astype(np.float32)
    return scaled


@dataclass(frozen=True, eq=False)
class Backbone:
    """Frozen network with its preprocessing: computes the features of pictures, before any projection.

    `prepare` turns a part of a picture into pixels, which always have the same shape; it is thread-safe. `network`
    maps V stacked views of one shape to float32 features [V, object_size + style_size]; it gets `batch` views at
    most. `digest` is a hash of everything that affects the features.
    """

    name: str
    digest: str
    object_size: int
    style_size: int
    prepare: Callable[[Image, Box], Pixels]
    network: Callable[[Pixels], Floats]
    batch: int = CPU_BATCH
    precision: str = "float32"
    """In which numbers the network computes, float32 or bfloat16; features of both are nearly the same."""
    prepare_region: Callable[[Image, Box], Pixels] | None = None
    """As `prepare`, with a shape of its own, for the things in pictures; None: they are prepared as pictures."""

    def features(self, pictures: Sequence[tuple[Pixels, ...]]) -> Floats:
        """Features of each picture, the mean over its views: float32 [N, object_size + style_size].

        A view that several pictures share, the same array, is computed once.
        """
        different = {id(view): view for picture in pictures for view in picture}.values()
        views, batch = sorted(different, key=lambda view: view.shape), self.batch
        rows = {id(view): row for row, view in enumerate(views)}
        groups = [list(group) for _, group in groupby(views, lambda view: view.shape)]
        outputs = np.concatenate(
            [
                self.network(cast(Pixels, np.stack(group[first : first + batch])))
                for group in groups
                for first in range(0, len(group), batch)
            ]
        )
        return np.stack([outputs[[rows[id(view)] for view in picture]].mean(0) for picture in pictures])
