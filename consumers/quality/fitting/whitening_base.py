"""Whitening base: fits, without labels, the means of these pictures and, if there are enough, whitened axes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumers.quality.fitting.feature_store import FeatureMatrix
from consumers.quality.fitting.validation import Scores, ValidationSet
from infra.array_types import Floats
from infra.encoder.runtime import Backbone
from infra.encoder.whitening import OBJECT_SIZE, kind_means, whiten

Tensors = dict[str, Floats]
"""The tensors of a projection by name, as infra.encoder.projection writes them."""

MIN_PICTURES = 2 * OBJECT_SIZE
"""Pictures needed to fit new axes: with fewer, the smaller half of the axes is noise."""
SHIPPED_AXES, FITTED_AXES = "the encoder's own", "fitted on these pictures"


@dataclass(frozen=True, eq=False)
class WhiteningBase:
    """The tensors of a projection, and the origin of its axes: SHIPPED or FRESH."""

    origin: str
    tensors: Tensors


def make_bases(gallery: FeatureMatrix, backbone: Backbone, shipped: Mapping[str, Floats]) -> list[WhiteningBase]:
    """The shipped axes with the means of these pictures; with enough pictures, also axes fitted on them."""
    features, size = gallery.features, backbone.object_size
    parts = {"object": features[:, :size], "style": features[:, size:]}
    means = {
        f"{part}.means": kind_means(values, gallery.studio, shipped[f"{part}.means"])
        for part, values in parts.items()
    }
    axes = {f"{part}.axes": shipped[f"{part}.axes"] for part in parts}
    bases = [WhiteningBase(SHIPPED_AXES, axes | means)]
    if len(features) >= MIN_PICTURES:
        bases.append(WhiteningBase(FITTED_AXES, whiten(features, gallery.studio, backbone) | means))
    return bases


def project(rows: Floats, studio: NDArray[np.bool_], means: Floats, axes: Floats) -> Floats:
    """Project features [N, d] to unit rows [N, k], as infra.encoder.projection.Axes does."""
    mapped = (rows - means[studio.astype(int)]) @ axes
    unit: Floats = mapped / np.maximum(np.linalg.norm(mapped, axis=1, keepdims=True), 1e-12)
    return unit


def project_objects(gallery: FeatureMatrix, tensors: Tensors, part: str = "object") -> Floats:
    """The object part of all pictures, projected by the base, or by the `head`, unit rows [N, k]."""
    axes = tensors[f"{part}.axes"]
    return project(gallery.features[:, : len(axes)], gallery.studio, tensors[f"{part}.means"], axes)


def choose_base(
    bases: list[WhiteningBase], gallery: FeatureMatrix, validation_set: ValidationSet
) -> tuple[WhiteningBase, dict[str, Scores]]:
    """The base with the best mean mAP@10, and the scores of every base by its origin."""
    scores = {base.origin: validation_set.score(project_objects(gallery, base.tensors)) for base in bases}
    best = max(bases, key=lambda base: float(scores[base.origin]["mAP@10"].mean()))
    return best, scores
