"""Canary: periodically measures a running system, to detect decay before users notice it.

recall       searches near sampled items, through the graph (HNSW) and by exact comparison with every point
first hits   searches over Kafka by the thumbnails of sampled items
freshness    time until the canary's own item is searchable, after it is sent over Kafka; it is deleted again
drift        the looks of sampled items, compared with those of the first time the canary ran on this index
"""

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import numpy as np
import structlog

from consumers.quality.evaluation.over_kafka import KafkaSystem
from consumers.vision.null_images import encode_jpeg, null_pictures
from infra.array_types import Floats
from infra.metrics import CanaryMetrics
from infra.qdrant.contract import Index, SearchPlan
from schemas.failures import Unavailable
from schemas.items import InlineImage, ItemUpserted
from schemas.outcomes import ItemIndexed
from schemas.searches import SearchRequest

TENANT = "canary"
"""The tenant that owns the canary's own item."""
HITS_PER_SEARCH = 10
NOISE = 0.5
"""Length of the noise added to a sampled look, relative to the look's own length; photos differ from the items'
pictures too."""
SAMPLE_SIZE, POOL_SIZE = 512, 5_000
"""The number of items that drift is measured on, and of those that every sample is drawn from."""
TIE_TOLERANCE = 1e-3
"""Scores at most this far below the first hit's are of the same picture, which several items may share."""


@dataclass
class Canary:
    """Measures the index of `tenant` with `queries` searches of each kind per round, and sets `metrics`."""

    index: Index
    system: KafkaSystem
    metrics: CanaryMetrics
    tenant: str
    queries: int
    rng: np.random.Generator = field(default_factory=np.random.default_rng)

    def run_round(self) -> bool:
        """Run one round; return whether every service answered. An unavailable one is tried again next round."""
        try:
            self._measure_freshness()
            ids = self._sample_ids(max(self.queries, SAMPLE_SIZE))
            if ids:
                self._measure_recall(ids[: self.queries])
                self._measure_first_hits(ids[: self.queries])
                self._measure_drift(ids)
        except Unavailable as error:
            structlog.get_logger().warning("canary round failed", reason=str(error))
            self.metrics.round_finished("unavailable")
            return False
        self.metrics.round_finished("ok")
        return True

    def _sample_ids(self, count: int) -> list[str]:
        """Ids of at most `count` main points of the tenant, in random order."""
        pool = sorted(self.index.sample(self.tenant, POOL_SIZE))
        sampled: list[str] = self.rng.permutation(pool)[:count].tolist() if pool else []
        return sampled

    def _measure_recall(self, ids: Sequence[str]) -> None:
        looks = self.index.vectors(ids).values()
        plans = [
            SearchPlan(self._add_noise(look), self.tenant, limit=HITS_PER_SEARCH, included_keys=())
            for look in looks
        ]
        approximate = self.index.search(plans)
        exact = self.index.search([replace(plan, exact=True) for plan in plans])
        recalls = [
            _overlap([hit.id for hit in found], [hit.id for hit in true])
            for found, true in zip(approximate, exact, strict=True)
        ]
        self.metrics.set_value("recall", float(np.mean(recalls)))

    def _add_noise(self, look: Floats) -> Floats:
        noise = self.rng.standard_normal(len(look))
        scale = NOISE * np.linalg.norm(look) / np.linalg.norm(noise)
        return (look + noise * scale).astype(np.float32)

    def _measure_first_hits(self, ids: Sequence[str]) -> None:
        payloads = self.index.payloads(ids, ("item_id", "thumbnail"))
        thumbnails = {
            str(payload["item_id"]): str(payload["thumbnail"])
            for payload in payloads.values()
            if payload.get("thumbnail")
        }
        if not thumbnails:
            return
        # One search at a time: sent together, they would wait for each other and trigger the slow-search alert.
        results = [
            result for thumbnail in thumbnails.values() for result in self.system.search([self._request(thumbnail)])
        ]
        correct = 0
        for item_id, result in zip(thumbnails, results, strict=True):
            best = [hit.item_id for hit in result.hits if hit.score >= result.hits[0].score - TIE_TOLERANCE]
            correct += item_id in best
        self.metrics.set_value("first_hit_rate", correct / len(thumbnails))

    def _request(self, thumbnail: str) -> SearchRequest:
        picture = InlineImage(data=base64.b64decode(thumbnail))
        return SearchRequest(
            request_id=f"canary-{time.time_ns()}",
            tenant=self.tenant,
            image=picture,
            strict=False,
            top_k=HITS_PER_SEARCH,
            restricted=True,
        )

    def _measure_freshness(self) -> None:
        self.system.put_in.clear()
        [picture] = null_pictures(1, int(self.rng.integers(1, 2**31)))
        item = ItemUpserted(
            tenant=self.system.tenant,
            item_id="canary",
            revision=time.time_ns() // 1_000,
            images=(InlineImage(data=encode_jpeg(picture)),),
        )
        for outcome in self.system.put([item]):
            times = outcome.times if isinstance(outcome, ItemIndexed) else None
            if times and times.searchable_at and times.event_time:
                seconds = (times.searchable_at - times.event_time).total_seconds()
                self.metrics.set_value("freshness_seconds", seconds)

    def _measure_drift(self, ids: Sequence[str]) -> None:
        looks = self.index.vectors(ids)
        mean, norm = _mean(list(looks.values()))
        neighbour_score = self._median_neighbour_score(dict(list(looks.items())[: self.queries]))
        note = f"canary:{self.tenant}"
        reference = self.index.notes([note]).get(note)
        if reference is None:
            reference = {"mean": mean.tolist(), "norm": norm, "near": neighbour_score}
            self.index.put_note(note, reference)
        reference_mean = np.array(reference["mean"], np.float32)
        norms = float(np.linalg.norm(mean) * np.linalg.norm(reference_mean))
        self.metrics.set_value("mean_cosine", float(mean @ reference_mean) / max(norms, 1e-9))
        self.metrics.set_value("norm", norm / float(str(reference["norm"])))
        self.metrics.set_value("neighbour_score", neighbour_score)
        self.metrics.set_value("neighbour_reference", float(str(reference["near"])))

    def _median_neighbour_score(self, looks: dict[str, Floats]) -> float:
        """The median, over the looks, of the score of the nearest other item; 0 for a look without one."""
        plans = [SearchPlan(look, self.tenant, limit=2, included_keys=()) for look in looks.values()]
        scores = [
            next((hit.score for hit in hits if hit.id != own_id), 0.0)
            for own_id, hits in zip(looks, self.index.search(plans), strict=True)
        ]
        return float(median(scores))


def _mean(looks: Sequence[Floats]) -> tuple[Floats, float]:
    """The mean vector of the looks, and the mean of their lengths."""
    rows = np.stack(looks)
    return rows.mean(axis=0), float(np.linalg.norm(rows, axis=1).mean())


def _overlap(found: Sequence[str], true: Sequence[str]) -> float:
    """The share of `true` that is in `found`; 1 when `true` is empty."""
    return len(set(found) & set(true)) / len(true) if true else 1.0
