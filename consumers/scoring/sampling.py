"""Calibration sampling: measure a tenant's points in small steps, between which searches can be answered."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np

from consumers.points.look_payload import WHOLE_VIEW, whole_view_of
from consumers.points.payload import PREDICTED
from consumers.scoring.arrays import Codes
from consumers.scoring.calibration import (
    MAX_COSINE,
    OTHER,
    PAD,
    SAME,
    UNKNOWN,
    Calibration,
    Neighbourhood,
    stack_probes,
)
from consumers.scoring.coverage import COVERAGE_NEIGHBOURS
from consumers.scoring.look_parts import LookParts
from consumers.scoring.metric import DEFAULT_METRIC, Metric
from infra.array_types import Floats
from infra.qdrant.contract import Index, Payload, ScoredPoint, SearchPlan
from schemas.filters import Filters
from schemas.ranking import INTENTS

SAMPLE_SIZE = 300
"""Points whose neighbours are measured."""
PROBES_PER_STEP = 8
"""Probes in one step; each is searched once with the weights of every intent."""
NULL_CANDIDATES, CANDIDATES = 5, 10
"""Hits used of each search; pooled over the intents, they contain the best hits for other weights, and under the
metric of the collection, too."""
PAYLOAD_KEYS = ("category", "category_source")

Slices = Generator[None, None, Calibration]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class SampledItem:
    """Probe: a look whose nearest points of other items are measured, its given category and its kind."""

    look: Floats
    item_id: str | None = None
    category: str | None = None
    studio: bool = False


@dataclass(frozen=True, eq=False)
class NullSample:
    """Looks of the null pictures, float32 [n, size], and 1 for those that look like studio pictures, int8 [n]."""

    looks: Floats
    studio: Codes


@dataclass(frozen=True)
class CalibrationSampler:
    """Measures the points of one tenant for its calibration, under the tenant's metric."""

    index: Index
    parts: LookParts
    tenant: str
    metric: Metric = DEFAULT_METRIC

    def calibrate(self, nulls: NullSample) -> Slices:
        """Measure step by step, and return the calibration at the end. Raises Unavailable, as the index does."""
        points = self.index.count(self.tenant)
        null_neighbourhoods: list[Neighbourhood] = []
        for null_probes in batches([SampledItem(look) for look in nulls.looks], PROBES_PER_STEP):
            null_neighbourhoods += self.neighbourhoods(null_probes, NULL_CANDIDATES)
            yield
        point_neighbourhoods: list[Neighbourhood] = []
        kinds: list[bool] = []
        absent: list[float] = []
        for batch in batches(list(self.index.sample(self.tenant, SAMPLE_SIZE).items()), PROBES_PER_STEP):
            probes = self._probes(dict(batch))
            point_neighbourhoods += self.neighbourhoods(probes, CANDIDATES)
            kinds += [probe.studio for probe in probes]
            absent += self._scores_of_other_kinds(probes)
            yield
        near, same = stack_probes(point_neighbourhoods)
        null_cosines, _ = stack_probes(null_neighbourhoods)
        kind_codes, other_scores = np.array(kinds, np.int8), np.array(absent, np.float32)
        return Calibration(
            points, null_cosines, nulls.studio, near, same, kind_codes, self.metric, absent=other_scores
        )

    def _probes(self, payloads: Mapping[str, Payload]) -> list[SampledItem]:
        looks = self.index.vectors(list(payloads))
        if self.metric.whole_view:
            looks = {**looks, **self._whole_looks(looks)}
        points = [(looks[id], payload) for id, payload in payloads.items() if id in looks]
        return [
            SampledItem(look, str(payload["item_id"]), merchant_category(payload), payload.get("studio") == "true")
            for look, payload in points
        ]

    def _whole_looks(self, looks: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return the looks by their whole views alone, as queries have them, of points where these are stored."""
        payloads = self.index.payloads(list(looks), [WHOLE_VIEW])
        parts = {id: whole_view_of(payload) for id, payload in payloads.items()}
        return {
            id: self.parts.with_object(looks[id], part)
            for id, part in parts.items()
            if part is not None and len(part) == self.parts.object_size
        }

    def _scores_of_other_kinds(self, probes: Sequence[SampledItem]) -> list[float]:
        """Return the mean score under the metric of each probe's nearest items of other categories.

        PAD for a probe without a category, or without hits.
        """
        labelled = [number for number, probe in enumerate(probes) if probe.category is not None]
        plans = [self._other_kinds_plan(probes[number]) for number in labelled]
        results = self.index.search(plans) if plans else []
        looks = self.index.vectors(list({hit.id for hits in results for hit in hits}))
        weights, means = self.metric.adapt_weights(INTENTS["similar"]), [PAD] * len(probes)
        for number, hits in zip(labelled, results, strict=True):
            others = [looks[hit.id] for hit in hits if hit.id in looks]
            if others:
                scores = self.parts.adapted_scores(probes[number].look, np.stack(others), weights, self.metric)
                means[number] = float(scores.mean()) if np.abs(scores).max() <= MAX_COSINE else PAD
        return means

    def _other_kinds_plan(self, probe: SampledItem) -> SearchPlan:
        own_kind = (Filters(category=(str(probe.category),)),)
        query = self.parts.apply_weights(probe.look, INTENTS["similar"])
        return SearchPlan(query, self.tenant, none_of=own_kind, limit=COVERAGE_NEIGHBOURS, included_keys=())

    def neighbourhoods(self, probes: Sequence[SampledItem], limit: int) -> list[Neighbourhood]:
        """Return the best hits of each probe, of other items, pooled over the weights of all intents."""
        results = self.index.search([plan for probe in probes for plan in self._plans(probe, limit)])
        looks = self.index.vectors(list({hit.id for hits in results for hit in hits}))
        pooled_hits = [
            {hit.id: hit for hits in results[n : n + len(INTENTS)] for hit in hits if hit.id in looks}
            for n in range(0, len(results), len(INTENTS))
        ]
        return [self._compare(probe, hits, looks) for probe, hits in zip(probes, pooled_hits, strict=True)]

    def _plans(self, probe: SampledItem, limit: int) -> list[SearchPlan]:
        own_item = (probe.item_id,) if probe.item_id else ()
        plan = SearchPlan(probe.look, self.tenant, limit=limit, included_keys=PAYLOAD_KEYS, excluded_ids=own_item)
        return [replace(plan, vector=self.parts.apply_weights(probe.look, weights)) for weights in INTENTS.values()]

    def _compare(
        self, probe: SampledItem, hits: Mapping[str, ScoredPoint], looks: Mapping[str, Floats]
    ) -> Neighbourhood:
        others = np.stack([looks[id] for id in hits]) if hits else np.empty((0, len(probe.look)), np.float32)
        same = [_agreement(probe.category, merchant_category(hit.payload)) for hit in hits.values()]
        return Neighbourhood(self.cosines(probe.look, others), np.array(same, np.int8))

    def cosines(self, look: Floats, others: Floats) -> Floats:
        """Return float32 [n, 4]: the cosines by part, see PART_COUNT, of a look with others [n, size]."""
        adapted = self.metric.object_cosines(self.parts.object(look), self.parts.object(others))
        return np.concatenate([self.parts.cosines(look, others), adapted[:, None]], axis=1)


def merchant_category(payload: Payload) -> str | None:
    """Return the category of a point; None if it has none or it is only predicted."""
    category = payload.get("category")
    return str(category) if category and payload.get("category_source") != PREDICTED else None


def _agreement(category: str | None, neighbour_category: str | None) -> int:
    if category is None or neighbour_category is None:
        return UNKNOWN
    return SAME if category == neighbour_category else OTHER


def batches(elements: Sequence[T], size: int) -> Iterator[list[T]]:
    """Yield the elements in batches of `size`, the last of the rest."""
    remaining = iter(elements)
    while batch := list(islice(remaining, size)):
        yield batch
