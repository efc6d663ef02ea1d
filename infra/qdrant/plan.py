"""What both engines agree on: points, search plans, conditions, and the Index contract."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.searches import Filters

VECTOR = "look"
"""The one named vector of a point: [object | style | colour], each part of unit length."""

LIVE, DEAD = "live", "dead"

Payload = Mapping[str, object]
Vector = NDArray[np.float32]


class EncoderDiffers(Exception):
    """The collection was made by another encoder; the message names both and the remedy."""


@dataclass(frozen=True)
class Point:
    """One picture of an item; without a vector it is a tombstone.

    The payload must hold `item` (tenant:item_id), `tenant`, `revision` (int) and `state` (live or dead).
    """

    id: str
    payload: Payload
    vector: Vector | None


@dataclass(frozen=True)
class SearchPlan:
    """One search: `vector` has each part multiplied by its weight, so its dot product is the score."""

    vector: Vector
    tenant: str
    filters: Filters = field(default_factory=Filters)
    limit: int = 10
    min_score: float | None = None
    effort: int = 128
    """hnsw_ef: how many candidates the graph search keeps."""


@dataclass(frozen=True)
class Found:
    """A point that was found; of each item only its best point."""

    id: str
    score: float
    payload: Payload


class Index(Protocol):
    """Where looks are kept. Every call raises schemas.failures.Unavailable while the engine is away."""

    def open(self, fingerprint: str, size: int) -> None:
        """Make the collection for vectors of `size`, or check it; raises EncoderDiffers."""

    def revisions(self, ids: Sequence[str]) -> dict[str, int]:
        """The revision of each point that exists, tombstones included."""

    def upsert(self, points: Sequence[Point]) -> None:
        """Write the points whose revision is above the stored one's; raises ValueError on a bad vector."""

    def patch(self, ids: Sequence[str], payload: Payload) -> None:
        """Set these payload keys (None removes one) where the stored revision is below payload["revision"].

        Points that do not exist, or are dead, stay as they are."""

    def remove(self, ids: Sequence[str], before_revision: int) -> None:
        """Remove points whose revision is below `before_revision`; those that do not exist are ignored."""

    def search(self, plans: Sequence[SearchPlan]) -> list[list[Found]]:
        """Best first for each plan, live points alone, one for each item."""

    def vectors(self, ids: Sequence[str]) -> dict[str, Vector]:
        """The vector of each live point that exists."""

    def count(self) -> int:
        """How many live points there are."""

    def flush(self) -> None:
        """Make what was written survive a power loss."""

    def close(self) -> None:
        """Let go of the engine."""
