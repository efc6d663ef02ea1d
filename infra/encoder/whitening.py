"""Whitening: fits a projection on features, without labels.

The method is PCA in which each axis is divided by its singular value to the power .25; 1 is full whitening, and 0
is none. Source: Jegou and Chum, Negative evidences and co-occurrences in image retrieval, 2012. The power was
chosen by measurement (recall@1 of studio pictures .302 at 0, .343 at .25, .336 at .5, .256 at 1).
"""

from collections.abc import Mapping

import numpy as np
from PIL.Image import Image

from infra.array_types import Floats, Mask
from infra.encoder.backbone import Backbone
from infra.encoder.projection import STYLE_SIZE, build_projection, to_storage_precision

OBJECT_SIZE = 256
POWER = 0.25
MIN_PICTURES_FOR_MEAN = 50
"""Minimum number of pictures of a kind (photos, or studio pictures) for a reliable mean."""


def whiten(features: Floats, studio: Mask, backbone: Backbone) -> dict[str, Floats]:
    """Fit the tensors of a projection: `features` [N, f] of N pictures, `studio` [N] a mask of studio pictures."""
    parts = np.split(features, [backbone.object_size], axis=1)
    tensors: dict[str, Floats] = {}
    for name, part, size in zip(("object", "style"), parts, (OBJECT_SIZE, STYLE_SIZE), strict=True):
        means = kind_means(part, studio)
        tensors |= {f"{name}.means": means, f"{name}.axes": whiten_axes(part - means[studio.astype(int)], size)}
    return tensors


def kind_means(features: Floats, studio: Mask, fallback: Floats | None = None) -> Floats:
    """Means of photos and of studio pictures, [2, d].

    A kind with too few pictures gets its mean from `fallback` [2, d] or, without one, the mean of all pictures.
    """
    minimum = min(len(features), MIN_PICTURES_FOR_MEAN) if fallback is None else MIN_PICTURES_FOR_MEAN
    fallback_means = [features.mean(0)] * 2 if fallback is None else fallback
    groups = zip((features[~studio], features[studio]), fallback_means, strict=True)
    return np.stack([group.mean(0) if len(group) >= minimum else mean for group, mean in groups]).astype(np.float32)


def whiten_axes(centred: Floats, size: int) -> Floats:
    """Whitening axes of centred features [N, d]: [d, k] with k = min(size, d, N - 1)."""
    values, vectors = np.linalg.eigh(np.cov(centred.T.astype(np.float64)))
    largest = np.argsort(-values)[: min(size, len(centred) - 1)]
    # The variance is the square of the singular value. Signs are arbitrary: the largest entry is made positive.
    axes = vectors[:, largest] * np.maximum(values[largest], 1e-12) ** (-POWER / 2)
    signed_axes: Floats = (axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(len(largest))])).astype(np.float32)
    return signed_axes


def known_vector(backbone: Backbone, tensors: Mapping[str, Floats], view: Image) -> Floats:
    """Compute the vector of a picture, as a photo with one view, from tensors in storage precision."""
    features = backbone.features([(backbone.prepare(view, (0, 0, *view.size)),)])
    vector: Floats = build_projection(to_storage_precision(tensors), "")(features, np.array([False]))[0]
    return vector
