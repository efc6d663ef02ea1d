"""A small system to evaluate in tests: it compares pictures pixel by pixel, without an encoder or an engine."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from PIL.Image import Resampling

from consumers.quality.evaluation.colours import ColourNamers, colour_namer
from consumers.quality.evaluation.run import EvaluationSetup
from consumers.vision.colour import make_colour_extractor
from infra.array_types import Floats
from infra.images.decode import DecodeLimits, decode
from schemas.failures import Rejected
from schemas.items import InlineImage, ItemUpserted
from schemas.outcomes import ItemIndexed, ItemOutcome, ItemRejected
from schemas.results import Hit, SearchResult
from schemas.searches import SearchRequest

SIDE = 16
LIMITS = DecodeLimits(thumbnail=0)
Step = TypeVar("Step")


def pixels(image: object) -> Floats:
    """The small picture as a vector of unit length; raises Rejected."""
    assert isinstance(image, InlineImage)
    small = decode(image.data, LIMITS).image.resize((SIDE, SIDE), Resampling.BOX)
    vector = np.asarray(small, np.float32).ravel() - 128
    return (vector / max(float(np.linalg.norm(vector)), 1e-6)).astype(np.float32)


@dataclass
class PixelSystem:
    """A SystemUnderTest: exact search by the cosine of small pictures, which is also its coverage.

    It calibrates nothing.
    """

    tenant: str = "pixels"
    items: dict[str, ItemUpserted] = field(default_factory=dict)
    vectors: dict[str, Floats] = field(default_factory=dict)
    searches: int = 0
    others: "list[PixelSystem]" = field(default_factory=list)
    """The same system for other tenants."""
    has_coverage: bool = True

    def for_tenant(self, name: str) -> "PixelSystem":
        self.others.append(PixelSystem(f"{self.tenant}-{name}", has_coverage=self.has_coverage))
        return self.others[-1]

    def put(self, items: Iterable[ItemUpserted]) -> Iterator[ItemOutcome]:
        for item in items:
            place = {"event_id": f"e-{item.item_id}", "tenant": item.tenant, "item_id": item.item_id, "revision": 1}
            try:
                self.vectors[item.item_id] = pixels(item.images[0] if item.images else None)
            except Rejected as failure:
                yield ItemRejected.model_validate(place | {"code": failure.code, "message": failure.message[:500]})
                continue
            self.items[item.item_id] = item
            yield ItemIndexed.model_validate(place | {"source": "catalog", "images": 1})

    def calibrate(self, probe: SearchRequest) -> None:
        pass

    def search(self, requests: Iterable[SearchRequest]) -> Iterator[SearchResult]:
        for request in requests:
            self.searches += 1
            hits = self._hits(request)
            coverage = max(0.0, hits[0].score) if hits and self.has_coverage else None
            yield SearchResult(
                request_id=request.request_id, status="ok", hits=hits, coverage=coverage, encoder="pixels:1"
            )

    def _hits(self, request: SearchRequest) -> tuple[Hit, ...]:
        query = pixels(request.image)
        filters = request.filters
        scores = {
            item_id: float(query @ vector)
            for item_id, vector in self.vectors.items()
            if item_id not in filters.exclude_items
            and (not filters.category or self.items[item_id].category in filters.category)
        }
        best = sorted(scores, key=lambda item_id: -scores[item_id])[request.offset : request.offset + request.top_k]
        return tuple(
            Hit(
                item_id=item_id, tenant=self.tenant, score=scores[item_id], image=0, source="catalog", revision=1,
                category=self.items[item_id].category,
            )
            for item_id in best
        )  # fmt: skip


def untracked(steps: Iterable[Step], description: str, total: int) -> Iterable[Step]:
    return steps


def pixel_setup(system: PixelSystem) -> EvaluationSetup:
    """The setup of an evaluation of this system."""
    colours = make_colour_extractor()
    namer = colour_namer(lambda image: colours.extract(image).names, LIMITS)
    return EvaluationSetup(system, "direct", ColourNamers(namer, namer), untracked, None)
