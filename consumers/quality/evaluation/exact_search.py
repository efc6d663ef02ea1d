"""Exact search: brute-force search in numpy over the catalogue's vectors, the reference for the engine's recall."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from consumers.quality.evaluation.bootstrap import Estimate, differences, estimate, estimates
from consumers.quality.evaluation.ground_truth import OBJECT, SIMILAR, WEIGHTINGS, GroundTruth
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.ranking_metrics import DEPTH
from consumers.quality.evaluation.retrieval_scores import Agreement
from consumers.quality.evaluation.system_under_test import (
    SystemUnderTest,
    TrackProgress,
    catalogue_position,
    search_each,
)
from consumers.vision.look import Look
from consumers.vision.look_vector import weight_look
from infra.array_types import Floats
from schemas.failures import Failure
from schemas.ranking import Weights

Places = NDArray[np.intp]

CHUNK = 64
"""Pictures that are read and embedded together, and queries that are compared with the catalogue together."""
STYLE_WEIGHTINGS = (OBJECT, SIMILAR, "style")

EmbedOne = Callable[[Sequence[bytes]], Sequence[Look | Failure]]


@dataclass(frozen=True, eq=False)
class ExactSearch:
    """The looks of the catalogue, [N, D], and of the queries, [Q, D]; NaN where a picture has none."""

    truth: GroundTruth
    catalogue_vectors: Floats
    query_vectors: Floats
    object_size: int
    style_size: int

    def nearest(self, weights: Weights, excluded: Sequence[Sequence[int]]) -> Places:
        """The catalogue positions of the DEPTH best hits of each query, best first, [Q, DEPTH]; padded with -1.

        `excluded` has the positions that must not be hits, for each query.
        """
        queries = np.stack(
            [weight_look(vector, weights, self.object_size, self.style_size) for vector in self.query_vectors]
        )
        found = [
            self._nearest(queries[start : start + CHUNK], excluded[start : start + CHUNK])
            for start in range(0, len(queries), CHUNK)
        ]
        return np.concatenate(found)

    def _nearest(self, queries: Floats, excluded: Sequence[Sequence[int]]) -> Places:
        """As `nearest`, of some queries; the scores of all at once would not fit into memory."""
        scores = np.nan_to_num(queries @ self.catalogue_vectors.T, nan=-np.inf)
        for row, positions in zip(scores, excluded, strict=True):
            row[list(positions)] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
        found: Places = np.where(np.isfinite(np.take_along_axis(scores, best, 1)), best, -1)
        return found


def open_exact(truth: GroundTruth, embed: EmbedOne, sizes: tuple[int, int]) -> ExactSearch:
    """Embed the catalogue and the queries; `sizes` are the dimensions of the object and of the style part."""
    catalogue_vectors, query_vectors = (_vectors(rows, embed) for rows in (truth.catalogue, truth.queries))
    return ExactSearch(truth, catalogue_vectors, query_vectors, *sizes)


def _vectors(rows: Sequence[LabelledImage], embed: EmbedOne) -> Floats:
    looks: list[Look | Failure] = []
    for start in range(0, len(rows), CHUNK):
        looks += embed([row.read() for row in rows[start : start + CHUNK]])
    size = next(len(look.vector) for look in looks if isinstance(look, Look))
    return np.stack(
        [look.vector if isinstance(look, Look) else np.full(size, np.nan, np.float32) for look in looks]
    )


def engine_recall(exact: ExactSearch, system: SystemUnderTest, track: TrackProgress) -> Estimate:
    """Recall of the engine: the share of the exact top 10 in its results, with the weighting `similar`.

    Searches are under the default metric, which is the engine's.
    """
    questions = [replace(each, metric="default") for each in exact.truth.questions(WEIGHTINGS[SIMILAR])]
    results = search_each(system, questions, track, "comparing with an exact search")
    own_positions = [exact.truth.position_of(row) for row in exact.truth.queries]
    best = exact.nearest(
        WEIGHTINGS[SIMILAR], [() if position is None else (position,) for position in own_positions]
    )
    recalls = []
    for positions, result in zip(best, results, strict=True):
        expected = {int(position) for position in positions if position >= 0}
        found = {catalogue_position(hit.item_id) for hit in result.hits}
        recalls.append(len(expected & found) / max(len(expected), 1))
    return estimate(np.array(recalls), exact.truth.seed)


def same_elsewhere(exact: ExactSearch, column: str) -> Agreement | None:
    """Share of the 10 best items OF ANOTHER LABEL that have the query's value in a column, by weighting.

    Items of the query's label are excluded, because style is what things of different kinds can have in common.
    None when no query has a value.
    """
    truth = exact.truth
    catalogue_values = np.array([row.values.get(column, "") for row in truth.catalogue])
    labels = np.array([row.label for row in truth.catalogue])
    positions = {label: np.flatnonzero(labels == label).tolist() for label in {row.label for row in truth.queries}}
    query_values = np.array([row.values.get(column, "") for row in truth.queries])
    if not query_values.any():
        return None
    shares = {}
    for name in STYLE_WEIGHTINGS:
        best = exact.nearest(WEIGHTINGS[name], [positions[row.label] for row in truth.queries])
        same = (catalogue_values[best] == query_values[:, None]) & (best >= 0)
        shares[name] = same[query_values != ""].mean(axis=1)
    baseline = {name: shares[OBJECT] for name in shares}
    return Agreement(len(shares[OBJECT]), estimates(shares, truth.seed), differences(shares, baseline, truth.seed))
