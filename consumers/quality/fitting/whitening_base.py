"""Whitening base: fits, without labels, the means of these pictures and, if there are enough, whitened axes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumers.quality.fitting.feature_store import FeatureMatrix
from consumers.quality.fitting.validation import Scores, ValidationSet
from infra.array_types import Floats
from infra.encoder.backbone import Backbone
from infra.encoder.grey_correction import grey_tensors
from infra.encoder.whitening import OBJECT_SIZE, kind_means, whiten

Tensors = dict[str, Floats]
"""The tensors of a projection by name, as infra.encoder.projection writes them."""

MIN_PICTURES = 2 * OBJECT_SIZE
"""Pictures needed to fit new axes: with fewer, the smaller half of the axes is noise."""
SHIPPED_AXES, FITTED_AXES = "the encoder's own", "fitted on these pictures"


PARTS = ("object", "style")


@dataclass(frozen=True, eq=False)
class WhiteningBase:
    """The tensors of a projection, and the origin of its axes: SHIPPED_AXES or FITTED_AXES."""

    origin: str
    tensors: Tensors


def make_bases(gallery: FeatureMatrix, backbone: Backbone, shipped: Mapping[str, Floats]) -> list[WhiteningBase]:
    """The shipped axes with the means of these pictures; with enough pictures, also axes fitted on them."""
    rest = fit_means(gallery, shipped) | grey_tensors(shipped)
    axes = {f"{part}.axes": shipped[f"{part}.axes"] for part in PARTS}
    bases = [WhiteningBase(SHIPPED_AXES, axes | rest)]
    if len(gallery.features) >= MIN_PICTURES:
        bases.append(WhiteningBase(FITTED_AXES, whiten(gallery.features, gallery.studio, backbone) | rest))
    return bases


def make_head_bases(
    gallery: FeatureMatrix, backbone: Backbone, shipped: Mapping[str, Floats]
) -> list[WhiteningBase]:
    """The bases that a head may be combined with: the shipped one unchanged, if it is whitened.

    Pictures outside of the head's domain then rank exactly as with the shipped encoder.
    """
    rows, columns = shipped["object.axes"].shape
    if rows == columns:
        return make_bases(gallery, backbone, shipped)
    return [WhiteningBase(SHIPPED_AXES, dict(shipped))]


def fit_means(gallery: FeatureMatrix, shipped: Mapping[str, Floats]) -> Tensors:
    """The means of photos and of studio pictures of both parts; the shipped ones of a kind with few pictures."""
    parts = np.split(gallery.features, [len(shipped["object.axes"])], axis=1)
    return {
        f"{part}.means": kind_means(values, gallery.studio, shipped[f"{part}.means"])
        for part, values in zip(PARTS, parts, strict=True)
    }


def project(rows: Floats, studio: NDArray[np.bool_], means: Floats, axes: Floats) -> Floats:
    """Project features [N, d] to unit rows [N, k], as infra.encoder.projection.Axes does."""
    mapped = (rows - means[studio.astype(int)]) @ axes
    unit: Floats = mapped / np.maximum(np.linalg.norm(mapped, axis=1, keepdims=True), 1e-12)
    return unit


def project_objects(gallery: FeatureMatrix, tensors: Tensors) -> Floats:
    """The object part of all pictures, projected by the base, unit rows [N, k]."""
    axes = tensors["object.axes"]
    return project(gallery.features[:, : len(axes)], gallery.studio, tensors["object.means"], axes)


def choose_base(
    bases: list[WhiteningBase], gallery: FeatureMatrix, validation_set: ValidationSet
) -> tuple[WhiteningBase, dict[str, Scores]]:
    """The base with the best mean mAP@10, and the scores of every base by its origin."""
    scores = {base.origin: validation_set.score(project_objects(gallery, base.tensors)) for base in bases}
    best = max(bases, key=lambda base: float(scores[base.origin]["mAP@10"].mean()))
    return best, scores
