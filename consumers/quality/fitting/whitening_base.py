"""The base, fitted without labels: the encoder's own axes with these pictures' means, or a whitening of these."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumers.quality.fitting.feature_store import FeatureMatrix
from consumers.quality.fitting.validation import Scores, ValidationSet
from infra.encoder.runtime import Backbone
from infra.encoder.whitening import OBJECT_SIZE, kind_means, whiten

Floats = NDArray[np.float32]
Tensors = dict[str, Floats]
"""Of a projection, as infra.encoder.projection writes them."""

FEWEST = 2 * OBJECT_SIZE
"""Pictures from which axes of their own are fitted: of fewer, the smaller half of the axes is noise."""
SHIPPED, FRESH = "the encoder's own", "fitted on these pictures"


@dataclass(frozen=True, eq=False)
class WhiteningBase:
    """Tensors of a projection, and where its axes come from."""

    origin: str
    tensors: Tensors


def make_bases(gallery: FeatureMatrix, backbone: Backbone, shipped: Mapping[str, Floats]) -> list[WhiteningBase]:
    """The shipped axes with the means of these pictures, and, of enough pictures, axes of their own."""
    features, size = gallery.features, backbone.object_size
    parts = {"object": features[:, :size], "style": features[:, size:]}
    means = {
        f"{part}.means": kind_means(values, gallery.studio, shipped[f"{part}.means"])
        for part, values in parts.items()
    }
    axes = {f"{part}.axes": shipped[f"{part}.axes"] for part in parts}
    bases = [WhiteningBase(SHIPPED, axes | means)]
    if len(features) >= FEWEST:
        bases.append(WhiteningBase(FRESH, whiten(features, gallery.studio, backbone) | means))
    return bases


def project(rows: Floats, studio: NDArray[np.bool_], means: Floats, axes: Floats) -> Floats:
    """Features [N, d] to unit rows [N, k], as infra.encoder.projection.Axes does."""
    mapped = (rows - means[studio.astype(int)]) @ axes
    unit: Floats = mapped / np.maximum(np.linalg.norm(mapped, axis=1, keepdims=True), 1e-12)
    return unit


def object_rows(gallery: FeatureMatrix, tensors: Tensors, part: str = "object") -> Floats:
    """The object part of all pictures under the base, or under the `head`, [N, k]."""
    axes = tensors[f"{part}.axes"]
    return project(gallery.features[:, : len(axes)], gallery.studio, tensors[f"{part}.means"], axes)


def choose_base(
    bases: list[WhiteningBase], gallery: FeatureMatrix, quiz: ValidationSet
) -> tuple[WhiteningBase, dict[str, Scores]]:
    """The base whose answers are best by mAP@10, and the scores of all."""
    scores = {base.origin: quiz.judge(object_rows(gallery, base.tensors)) for base in bases}
    best = max(bases, key=lambda base: float(scores[base.origin]["mAP@10"].mean()))
    return best, scores
