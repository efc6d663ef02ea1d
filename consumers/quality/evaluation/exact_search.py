"""Exact search by numpy over the catalogue's own vectors: what the engine's answers are held against."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumers.quality.evaluation.bootstrap import Estimate, differences, estimate, estimates
from consumers.quality.evaluation.ground_truth import OBJECT, SIMILAR, WEIGHTINGS, GroundTruth
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.ranking_metrics import DEPTH
from consumers.quality.evaluation.retrieval_scores import Agreement, Results
from consumers.quality.evaluation.system_under_test import place_of
from consumers.vision.embedder import Look, weighted
from schemas.failures import Failure
from schemas.ranking import Weights

Vectors = NDArray[np.float32]
Places = NDArray[np.intp]

CHUNK = 64
"""Pictures that are read and looked at together."""
STYLE_WEIGHTINGS = (OBJECT, SIMILAR, "style")

EmbedOne = Callable[[Sequence[bytes]], Sequence[Look | Failure]]


@dataclass(frozen=True, eq=False)
class ExactSearch:
    """The looks of a trial's catalogue, [N, D], and of its queries, [Q, D]; NaN where a picture has none."""

    trial: GroundTruth
    held: Vectors
    asked: Vectors
    object_size: int
    style_size: int

    def nearest(self, weights: Weights, barred: Sequence[Sequence[int]]) -> Places:
        """The places of the DEPTH best for each query, best first, [Q, DEPTH]; -1 where there are no more.

        `barred` are the places that must not be hits, for each query.
        """
        asked = np.stack([weighted(one, weights, self.object_size, self.style_size) for one in self.asked])
        scores = np.nan_to_num(asked @ self.held.T, nan=-np.inf)
        for row, places in zip(scores, barred, strict=True):
            row[list(places)] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
        found: Places = np.where(np.isfinite(np.take_along_axis(scores, best, 1)), best, -1)
        return found


def open_exact(trial: GroundTruth, look_at: EmbedOne, sizes: tuple[int, int]) -> ExactSearch:
    """Looks at all of a trial's pictures; `sizes` are those of the object and the style part."""
    held, asked = (_vectors(rows, look_at) for rows in (trial.catalogue, trial.queries))
    return ExactSearch(trial, held, asked, *sizes)


def _vectors(rows: Sequence[LabelledImage], look_at: EmbedOne) -> Vectors:
    looks: list[Look | Failure] = []
    for start in range(0, len(rows), CHUNK):
        looks += look_at([row.path.read_bytes() for row in rows[start : start + CHUNK]])
    size = next(len(look.vector) for look in looks if isinstance(look, Look))
    return np.stack(
        [look.vector if isinstance(look, Look) else np.full(size, np.nan, np.float32) for look in looks]
    )


def engine_recall(exact: ExactSearch, results: Results) -> Estimate:
    """Share of the exact top 10 that the engine's answers to the same questions hold, under `similar`."""
    own = [exact.trial.itself(row) for row in exact.trial.queries]
    best = exact.nearest(WEIGHTINGS[SIMILAR], [() if place is None else (place,) for place in own])
    kept = []
    for places, result in zip(best, results, strict=True):
        wanted = {int(place) for place in places if place >= 0}
        kept.append(len(wanted & {place_of(hit.item_id) for hit in result.hits}) / max(len(wanted), 1))
    return estimate(np.array(kept), exact.trial.seed)


def same_elsewhere(exact: ExactSearch, column: str) -> Agreement | None:
    """Share of the 10 best items OF ANOTHER LABEL that share the query's value of a column, by weighting.

    Style is what things of different kinds can have in common, so those of the same kind are left out.
    """
    trial = exact.trial
    held = np.array([row.values.get(column, "") for row in trial.catalogue])
    labels = np.array([row.label for row in trial.catalogue])
    of_label = {label: np.flatnonzero(labels == label).tolist() for label in {row.label for row in trial.queries}}
    values = np.array([row.values.get(column, "") for row in trial.queries])
    if not values.any():
        return None
    shares = {}
    for name in STYLE_WEIGHTINGS:
        best = exact.nearest(WEIGHTINGS[name], [of_label[row.label] for row in trial.queries])
        right = (held[best] == values[:, None]) & (best >= 0)
        shares[name] = right[values != ""].mean(axis=1)
    base = {name: shares[OBJECT] for name in shares}
    return Agreement(len(shares[OBJECT]), estimates(shares, trial.seed), differences(shares, base, trial.seed))
