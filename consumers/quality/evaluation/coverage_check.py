"""Coverage check: whether `coverage` recognises queries whose kind the catalogue does not have.

The categories are drawn into FOLDS parts. For each part, the system indexes the catalogue without those categories,
for a tenant of its own, and calibrates itself on what is left, as a catalogue does that never had them. A filter by
category would not do: coverage is computed from all of the index, whatever the filters of a search.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consumers.quality.evaluation.bootstrap import TAILS, Estimate, resample
from consumers.quality.evaluation.ground_truth import SIMILAR, WEIGHTINGS, GroundTruth
from consumers.quality.evaluation.labelled_dataset import sample
from consumers.quality.evaluation.reliability import Claims, Reliability, reliability
from consumers.quality.evaluation.retrieval_scores import Results, share
from consumers.quality.evaluation.system_under_test import (
    SearchQuestion,
    SystemUnderTest,
    TrackProgress,
    calibrate,
    catalogue_id,
    index_rows,
    search_all,
)
from infra.array_types import Doubles
from schemas.results import LOW_COVERAGE

FOLDS = 3
"""Parts of the categories. More of them cost more time; with 2, the rest is very unlike the whole catalogue."""
MAX_PICTURES = 50_000
"""Pictures of a catalogue that is indexed again: of more it would take hours."""
MAX_FALSE_ALARMS = 0.1
"""Share of queries whose kind is there that may be flagged, for `recall_at_tenth`."""


@dataclass(frozen=True)
class CoverageScores:
    """How well coverage separates queries whose kind is absent from the same queries when it is present.

    A query is flagged if its coverage is below LOW_COVERAGE. `auc` is the area under the ROC curve, and
    `recall_at_tenth` the share of absent ones below the threshold that flags a tenth of the present ones. In
    `calibration`, half of the claims are of queries whose kind is absent.
    """

    flagged_absent: Estimate
    flagged_present: Estimate
    auc: Estimate
    recall_at_tenth: Estimate
    calibration: Reliability


@dataclass(frozen=True)
class CoverageCheck:
    """The queries whose category was taken out of the index; for `unknown` ones the answers have no coverage.

    `scores` is None if that is so for all.
    """

    queries: int
    unknown: int
    scores: CoverageScores | None


def check_coverage(
    truth: GroundTruth, results: Results, system: SystemUnderTest, limit: int, track: TrackProgress
) -> CoverageCheck | None:
    """Check at most `limit` queries; `results` are those of all queries with the whole catalogue.

    None if there are fewer than two categories, if no query outside the catalogue has one, or if the catalogue has
    more than MAX_PICTURES.
    """
    categories = sorted({row.category for row in truth.catalogue if row.category})
    rows = [
        n
        for n, row in enumerate(truth.queries)
        if row.category in categories and truth.position_of(row) is None and results[n].hits
    ]
    rows = sample(rows, limit, truth.seed)
    if len(categories) < 2 or not rows or len(truth.catalogue) > MAX_PICTURES:
        return None
    random.Random(truth.seed).shuffle(categories)
    absent: dict[int, float | None] = {}
    for fold in range(min(FOLDS, len(categories))):
        missing = frozenset(categories[fold::FOLDS])
        chosen = [n for n in rows if truth.queries[n].category in missing]
        tenant = system.for_tenant(f"coverage-{fold}")
        absent |= zip(chosen, _search_without(missing, truth, chosen, tenant, track), strict=True)
    pairs = [(results[n].coverage, absent[n]) for n in rows]
    known = [(with_kind, without) for with_kind, without in pairs if with_kind is not None and without is not None]
    unknown = len(rows) - len(known)
    if not known:
        return CoverageCheck(len(rows), unknown, None)
    present, without = np.array(known, np.float64).T
    return CoverageCheck(len(rows), unknown, score_coverage(present, without, truth.seed))


def _search_without(
    missing: frozenset[str],
    truth: GroundTruth,
    chosen: Sequence[int],
    system: SystemUnderTest,
    track: TrackProgress,
) -> list[float | None]:
    """The coverage of the chosen queries in a catalogue without some categories."""
    if not chosen:
        return []
    rest = [(catalogue_id(n), row) for n, row in enumerate(truth.catalogue) if row.category not in missing]
    index_rows(system, rest, track, len(rest))
    questions = [SearchQuestion(truth.queries[n].read, WEIGHTINGS[SIMILAR]) for n in chosen]
    calibrate(system, questions[0])
    return [result.coverage for result in search_all(system, questions, track, "searching for absent kinds")]


def score_coverage(present: Doubles, absent: Doubles, seed: int) -> CoverageScores:
    """The scores from the coverage of the same queries with and without their kind, [Q] each."""
    queries = len(present)
    separation = _Separation(present, absent)
    [value] = separation.statistics(np.ones((1, queries)))
    low, high = np.percentile(resample(separation.statistics, queries, seed), TAILS, axis=0)
    auc, recall = (Estimate(float(value[n]), float(low[n]), float(high[n])) for n in (0, 1))
    claims = Claims(
        np.concatenate([present, absent]), np.arange(2 * queries) < queries, np.tile(np.arange(queries), 2)
    )
    return CoverageScores(
        share((absent < LOW_COVERAGE).tolist(), seed), share((present < LOW_COVERAGE).tolist(), seed), auc, recall,
        reliability(claims, seed),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Separation:
    """How coverage with the kind, [Q], is distributed against that without it, [Q]."""

    present: Doubles
    absent: Doubles

    def statistics(self, drawn: Doubles) -> Doubles:
        """The area under the ROC curve, and the recall at MAX_FALSE_ALARMS, for queries drawn so often [R, Q]."""
        order, total = np.argsort(self.present), drawn.sum(axis=1)
        ranked = self.present[order]
        # Column k: share of the present queries that are among the k lowest.
        below = np.pad(np.cumsum(drawn[:, order], axis=1), ((0, 0), (1, 0))) / total[:, None]
        lower, upper = (np.searchsorted(ranked, self.absent, side) for side in ("left", "right"))
        above = 1 - (below[:, lower] + below[:, upper]) / 2
        auc = (drawn * above).sum(axis=1) / total
        flagged = drawn * (below[:, upper] <= MAX_FALSE_ALARMS)
        return np.column_stack([auc, flagged.sum(axis=1) / total])
