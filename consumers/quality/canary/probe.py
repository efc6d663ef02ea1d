"""The canary: asks a running system now and then what shows decay before users meet it.

recall       searches near sampled items, through the graph and by comparing with every point
first hits   searches over Kafka by the thumbnails of sampled items
freshness    an item of its own, put in over Kafka and taken out again
drift        the looks of sampled items against those of when the canary first saw this index
"""

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import numpy as np
import structlog
from numpy.typing import NDArray

from consumers.quality.evaluation.over_kafka import KafkaSystem
from consumers.vision.null_images import encoded, null_pictures
from infra.metrics import CanaryMetrics
from infra.qdrant.contract import Index, SearchPlan
from schemas.failures import Unavailable
from schemas.items import InlineImage, ItemUpserted
from schemas.outcomes import ItemIndexed
from schemas.searches import SearchRequest

Floats = NDArray[np.float32]

TENANT = "canary"
"""Whose the canary's own item is."""
TOP = 10
NOISE = 0.5
"""Length of the noise on a sampled look, in parts of its own: photos are not their items' pictures either."""
SAMPLE, KNOWN = 512, 5_000
"""Items that drift is measured on, and those that all samples are drawn from."""
TIE = 1e-3
"""Scores so near the first one's are of the same picture, which several items may have."""


@dataclass
class Canary:
    """Measures `tenant`, `queries` searches of each kind a round; what it finds goes to `metrics`."""

    index: Index
    system: KafkaSystem
    metrics: CanaryMetrics
    tenant: str
    queries: int
    chance: np.random.Generator = field(default_factory=np.random.default_rng)

    def look(self) -> bool:
        """One round; whether all answered. What is away is looked for again in the next round."""
        try:
            self._measure_freshness()
            items = self._draw(max(self.queries, SAMPLE))
            if items:
                self._measure_recall(items[: self.queries])
                self._measure_first_hits(items[: self.queries])
                self._measure_drift(items)
        except Unavailable as away:
            structlog.get_logger().warning("canary", why=str(away))
            self.metrics.round("away")
            return False
        self.metrics.round("well")
        return True

    def _draw(self, count: int) -> list[str]:
        """Ids of main points of the tenant, in any order."""
        known = sorted(self.index.sample(self.tenant, KNOWN))
        drawn: list[str] = self.chance.permutation(known)[:count].tolist() if known else []
        return drawn

    def _measure_recall(self, ids: Sequence[str]) -> None:
        looks = self.index.vectors(ids).values()
        plans = [SearchPlan(self._noisy(look), self.tenant, limit=TOP, keys=()) for look in looks]
        found = self.index.search(plans)
        true = self.index.search([replace(plan, exact=True) for plan in plans])
        shares = [
            _overlap([f.id for f in some], [f.id for f in all_]) for some, all_ in zip(found, true, strict=True)
        ]
        self.metrics.found("recall", float(np.mean(shares)))

    def _noisy(self, look: Floats) -> Floats:
        noise = self.chance.standard_normal(len(look))
        length = NOISE * np.linalg.norm(look) / np.linalg.norm(noise)
        return (look + noise * length).astype(np.float32)

    def _measure_first_hits(self, ids: Sequence[str]) -> None:
        shown = self.index.payloads(ids, ("item_id", "thumbnail"))
        asked = {str(one["item_id"]): str(one["thumbnail"]) for one in shown.values() if one.get("thumbnail")}
        if not asked:
            return
        # One after another: all at once they wait for each other, and raise the alarm that searches are slow.
        results = [result for shown in asked.values() for result in self.system.ask([self._request(shown)])]
        right = 0
        for item, result in zip(asked, results, strict=True):
            best = [hit.item_id for hit in result.hits if hit.score >= result.hits[0].score - TIE]
            right += item in best
        self.metrics.found("first_hit_rate", right / len(asked))

    def _request(self, thumbnail: str) -> SearchRequest:
        picture = InlineImage(data=base64.b64decode(thumbnail))
        return SearchRequest(
            request_id=f"canary-{time.time_ns()}",
            tenant=self.tenant,
            image=picture,
            strict=False,
            top_k=TOP,
            restricted=True,
        )

    def _measure_freshness(self) -> None:
        self.system.put_in.clear()
        [picture] = null_pictures(1, int(self.chance.integers(1, 2**31)))
        item = ItemUpserted(
            tenant=self.system.tenant,
            item_id="canary",
            revision=time.time_ns() // 1_000,
            images=(InlineImage(data=encoded(picture)),),
        )
        for outcome in self.system.put([item]):
            times = outcome.times if isinstance(outcome, ItemIndexed) else None
            if times and times.searchable_at and times.event_time:
                took = (times.searchable_at - times.event_time).total_seconds()
                self.metrics.found("freshness_seconds", took)

    def _measure_drift(self, ids: Sequence[str]) -> None:
        looks = self.index.vectors(ids)
        mean, norm = _mean(list(looks.values()))
        near = self._nearest_scores(dict(list(looks.items())[: self.queries]))
        name = f"canary:{self.tenant}"
        reference = self.index.notes([name]).get(name)
        if reference is None:
            reference = {"mean": mean.tolist(), "norm": norm, "near": near}
            self.index.take_note(name, reference)
        then = np.array(reference["mean"], np.float32)
        lengths = float(np.linalg.norm(mean) * np.linalg.norm(then))
        self.metrics.found("mean_cosine", float(mean @ then) / max(lengths, 1e-9))
        self.metrics.found("norm", norm / float(str(reference["norm"])))
        self.metrics.found("neighbour_score", near)
        self.metrics.found("neighbour_reference", float(str(reference["near"])))

    def _nearest_scores(self, looks: dict[str, Floats]) -> float:
        """The median score of the nearest other item; 0 when there is none."""
        plans = [SearchPlan(look, self.tenant, limit=2, keys=()) for look in looks.values()]
        scores = [
            next((hit.score for hit in hits if hit.id != own), 0.0)
            for own, hits in zip(looks, self.index.search(plans), strict=True)
        ]
        return float(median(scores))


def _mean(looks: Sequence[Floats]) -> tuple[Floats, float]:
    """The mean of looks, and their mean length."""
    together = np.stack(looks)
    return together.mean(axis=0), float(np.linalg.norm(together, axis=1).mean())


def _overlap(found: Sequence[str], true: Sequence[str]) -> float:
    """The share of the true ones that were found; 1 when there are none."""
    return len(set(found) & set(true)) / len(true) if true else 1.0
