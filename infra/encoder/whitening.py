"""Whitening: a projection fitted on features alone, without labels.

The method is PCA, with each axis divided by its singular value to the power .25: full whitening is 1, none is 0.
Source: Jegou and Chum, Negative evidences and co-occurrences in image retrieval, 2012; the power was measured
(recall@1 of studio pictures .302 at 0, .343 at .25, .336 at .5, .256 at 1).
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image

from infra.encoder.projection import STYLE_SIZE, as_stored, assemble
from infra.encoder.runtime import Backbone

OBJECT_SIZE = 256
POWER = 0.25
ENOUGH = 50
"""Pictures of a kind from which its mean is known well enough."""

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def whiten(features: Floats, studio: Mask, backbone: Backbone) -> dict[str, Floats]:
    """The tensors of a projection for a backbone: `features` [N, f] of N pictures, `studio` which of them are."""
    parts = np.split(features, [backbone.object_size], axis=1)
    tensors: dict[str, Floats] = {}
    for name, part, size in zip(("object", "style"), parts, (OBJECT_SIZE, STYLE_SIZE), strict=True):
        means = kind_means(part, studio)
        tensors |= {f"{name}.means": means, f"{name}.axes": whiten_axes(part - means[studio.astype(int)], size)}
    return tensors


def kind_means(features: Floats, studio: Mask, fallback: Floats | None = None) -> Floats:
    """The means of photos and of studio pictures, [2, d].

    Where a kind has too few pictures to say: that of `fallback` [2, d], or without one the mean of all.
    """
    enough = min(len(features), ENOUGH) if fallback is None else ENOUGH
    other = [features.mean(0)] * 2 if fallback is None else fallback
    kinds = zip((features[~studio], features[studio]), other, strict=True)
    return np.stack([kind.mean(0) if len(kind) >= enough else mean for kind, mean in kinds]).astype(np.float32)


def whiten_axes(centred: Floats, size: int) -> Floats:
    """The axes [d, size] of centred features [N, d]; fewer where there is less to tell apart."""
    values, vectors = np.linalg.eigh(np.cov(centred.T.astype(np.float64)))
    largest = np.argsort(-values)[: min(size, len(centred) - 1)]
    # The variance is the square of the singular value. A sign is arbitrary: the largest entry is made positive.
    axes = vectors[:, largest] * np.maximum(values[largest], 1e-12) ** (-POWER / 2)
    positive: Floats = (axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(len(largest))])).astype(np.float32)
    return positive


def known_vector(backbone: Backbone, tensors: Mapping[str, Floats], view: Image) -> Floats:
    """The vector of a picture, seen once as a photo, under the tensors as they are stored."""
    stored = {name: torch.from_numpy(value) for name, value in as_stored(tensors).items()}
    features = backbone.features([(backbone.prepare(view, (0, 0, *view.size)),)]).cpu()
    known: Floats = assemble(stored, "")(features, torch.tensor([False]))[0].numpy()
    return known
