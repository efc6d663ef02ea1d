"""Measuring a tenant's points for a calibration, in slices between which searches can be answered."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np

from consumers.points.payload import PREDICTED
from consumers.scoring.calibration import (
    OTHER,
    SAME,
    UNKNOWN,
    Calibration,
    Codes,
    Floats,
    LookParts,
    Neighbourhood,
    stacked,
)
from infra.qdrant.contract import Index, Payload, ScoredPoint, SearchPlan
from schemas.ranking import INTENTS

SAMPLES = 300
"""Points whose neighbours are looked at."""
SLICE = 8
"""Probes in one slice; each is searched for once under every intent."""
NULL_CANDIDATES, CANDIDATES = 2, 5
"""Hits that are kept of each search: pooled over the intents they hold the best ones under other weights too."""
KEYS = ("category", "category_source")

Slices = Generator[None, None, Calibration]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class SampledItem:
    """A look whose best candidates are wanted, among the items other than its own; its given category and kind."""

    look: Floats
    item_id: str | None = None
    category: str | None = None
    studio: bool = False


@dataclass(frozen=True, eq=False)
class NullSample:
    """The looks of the null pictures, float32 [n, size], and which of them look like studio pictures, int8 [n]."""

    looks: Floats
    studio: Codes


@dataclass(frozen=True)
class CalibrationSampler:
    """Where to measure."""

    index: Index
    parts: LookParts
    tenant: str

    def calibration(self, nulls: NullSample) -> Slices:
        """Measures step by step; the calibration comes at the end. Raises Unavailable as the index does."""
        points = self.index.count(self.tenant)
        among_nulls: list[Neighbourhood] = []
        for few in _sliced([SampledItem(look) for look in nulls.looks]):
            among_nulls += self._near(few, NULL_CANDIDATES)
            yield
        among_points: list[Neighbourhood] = []
        kinds: list[bool] = []
        for some in _sliced(list(self.index.sample(self.tenant, SAMPLES).items())):
            probes = self._probes(dict(some))
            among_points += self._near(probes, CANDIDATES)
            kinds += [probe.studio for probe in probes]
            yield
        near, same = stacked(among_points)
        return Calibration(points, stacked(among_nulls)[0], nulls.studio, near, same, np.array(kinds, np.int8))

    def _probes(self, sampled: Mapping[str, Payload]) -> list[SampledItem]:
        looks = self.index.vectors(list(sampled))
        known = [(looks[id], payload) for id, payload in sampled.items() if id in looks]
        return [
            SampledItem(look, str(payload["item_id"]), given_category(payload), payload.get("studio") == "true")
            for look, payload in known
        ]

    def _near(self, probes: Sequence[SampledItem], candidates: int) -> list[Neighbourhood]:
        found = self.index.search([plan for probe in probes for plan in self._plans(probe, candidates)])
        looks = self.index.vectors(list({hit.id for hits in found for hit in hits}))
        each = [
            {hit.id: hit for hits in found[n : n + len(INTENTS)] for hit in hits if hit.id in looks}
            for n in range(0, len(found), len(INTENTS))
        ]
        return [self._compared(probe, hits, looks) for probe, hits in zip(probes, each, strict=True)]

    def _plans(self, probe: SampledItem, candidates: int) -> list[SearchPlan]:
        itself = (probe.item_id,) if probe.item_id else ()
        plan = SearchPlan(probe.look, self.tenant, limit=candidates, keys=KEYS, apart_from=itself)
        return [replace(plan, vector=self.parts.weigh(probe.look, one)) for one in INTENTS.values()]

    def _compared(
        self, probe: SampledItem, hits: Mapping[str, ScoredPoint], looks: Mapping[str, Floats]
    ) -> Neighbourhood:
        others = np.stack([looks[id] for id in hits]) if hits else np.empty((0, len(probe.look)), np.float32)
        same = [_agreement(probe.category, given_category(hit.payload)) for hit in hits.values()]
        return Neighbourhood(self.parts.cosines(probe.look, others), np.array(same, np.int8))


def given_category(payload: Payload) -> str | None:
    """The category of a point, unless it was but predicted."""
    category = payload.get("category")
    return str(category) if category and payload.get("category_source") != PREDICTED else None


def _agreement(one: str | None, other: str | None) -> int:
    if one is None or other is None:
        return UNKNOWN
    return SAME if one == other else OTHER


def _sliced(things: Sequence[T]) -> Iterator[list[T]]:
    rest = iter(things)
    while few := list(islice(rest, SLICE)):
        yield few
