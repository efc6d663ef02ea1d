"""Index contract: the points, search plans and `Index` protocol that both engines implement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from infra.qdrant.conditions import (
    MAIN_PICTURE,
    AnyOf,
    Condition,
    NoneOf,
    NotAnyOf,
    OneOf,
    filter_conditions,
    live_conditions,
    picture_conditions,
    tenant_conditions,
)
from infra.qdrant.payload_indexes import LINKED
from schemas.filters import Filters

VECTOR = "look"
"""Name of the only vector of a point: [object | style | colour], each part of unit length."""

OVERSAMPLING = 2.0
"""Number of int8 candidates rescored in float32, as a multiple of the limit (recall 1.000 on 100,000 points)."""

ACORN_SELECTIVITY, ACORN_SELECTIVITY_LINKED = 0.4, 0.02
"""Below this share of points that pass the filters (the engine's own estimate), graph search also visits neighbours
of neighbours (ACORN, arXiv 2403.04871). Without it, a price filter that 9 % of 100,000 points pass finds only 8 %
of the true hits. ACORN_SELECTIVITY_LINKED is for keywords: their links find as many, in a third of the time."""

MAX_FACET_VALUES = 1_000
"""Maximum number of values that a facet returns; the most frequent ones."""

Payload = Mapping[str, object]
Vector = NDArray[np.float32]


class EncoderDiffers(Exception):
    """The collection was created with another encoder. The message names both encoders and the remedy."""


class EngineError(Exception):
    """An engine call failed; the message has the engine's own error. The engine is there: a retry is no help."""


@dataclass(frozen=True)
class Point:
    """One picture of an item, or a region of one; a point without a vector is a tombstone.

    The payload must contain `item` (tenant:item_id), `item_id`, `tenant`, `version` (int) and `state`.
    """

    id: str
    payload: Payload
    vector: Vector | None


@dataclass(frozen=True)
class Patch:
    """A partial update of a point's payload: keys to set, or to remove if the value is None.

    The payload must contain `version` (int).
    """

    id: str
    payload: Payload


@dataclass(frozen=True)
class SearchPlan:
    """One search. Each part of `vector` is multiplied by its weight, so the dot product is the score.

    Without a vector, `text` ranks by BM25 over the words of the plan's tenant (payload key `words`): hits have at
    least one of its words. Without both, hits are the first points by id, with a score of 0.
    """

    vector: Vector | None
    tenant: str
    filters: Filters = field(default_factory=Filters)
    any_of: tuple[Filters, ...] = ()
    """A hit must pass at least one of these, if there are any."""
    none_of: tuple[Filters, ...] = ()
    """A hit must pass none of these. None of these may be an empty filter."""
    limit: int = 10
    min_score: float | None = None
    hnsw_ef: int = 128
    """Size of the candidate list of the graph search."""
    exact: bool = False
    """Compare with every point that passes the filters instead of searching the graph."""
    extra_conditions: tuple[Condition, ...] = ()
    excluded_ids: tuple[str, ...] = ()
    """Items to exclude. Not a condition as `filters.exclude_items` is, because plans with equal conditions share
    one pass over the unindexed points (64 plans, 10,000 such points: 1.3 ms a plan, not 6.2)."""
    included_keys: tuple[str, ...] | None = None
    """Payload keys to return, in addition to `item_id`; None returns all keys."""
    text: str = ""
    """Words in the form in which points hold them, separated by blanks; not used with a vector."""
    includes_regions: bool = False
    """Whether regions may be hits, of a plan with a vector; without them, statistics are those of pictures."""

    @property
    def is_by_text(self) -> bool:
        """Whether hits are ranked by the words of the plan."""
        return self.vector is None and bool(self.text)

    @property
    def payload_keys(self) -> list[str]:
        """Payload keys to fetch; an empty list means all keys."""
        return [] if self.included_keys is None else ["item_id", *self.included_keys]


@dataclass(frozen=True)
class ScoredPoint:
    """A search hit: the best point of an item, a picture or a region of one."""

    id: str
    score: float
    payload: Payload


@dataclass(frozen=True)
class FacetPlan:
    """One facet: for each value of a keyword field, how many items of a tenant pass the filters and have it."""

    name: str
    tenant: str
    filters: Filters = field(default_factory=Filters)
    any_of: tuple[Filters, ...] = ()
    none_of: tuple[Filters, ...] = ()
    extra_conditions: tuple[Condition, ...] = (MAIN_PICTURE,)


@dataclass(frozen=True)
class IndexStatus:
    """Status of an index."""

    fingerprint: str
    """Fingerprint of the encoder that made the vectors."""
    size: int
    """Number of dimensions of a vector."""
    live: int
    """Number of pictures of live items."""
    unindexed: int
    """Number of pictures and regions that are not in a graph yet; searches compare them one by one."""
    segments: int
    bytes: int | None = None
    """Size on disk in bytes; None if the engine does not report it."""
    optimising: bool = False
    wanted: bool = False
    """Whether optimisation was requested and has not started yet."""
    regions: int = 0
    """Number of regions of pictures of live items."""


class Index(Protocol):
    """Storage and search of looks. Every call raises schemas.failures.Unavailable while the engine cannot be
    reached, EngineError if the engine fails, and SettingsError if a setting is wrong (API key, port, or a
    collection that no longer exists).

    Every write carries a `version` and changes only points that are missing or have a lower stored version. A
    caller that reads version n and writes n + 1 therefore changes either exactly what it read or nothing, even with
    other writers; reading the point again shows which. Repeating a write is safe.
    """

    def open(self, fingerprint: str, size: int) -> None:
        """Create the collection for vectors with `size` dimensions, or check it; raises EncoderDiffers."""

    def payloads(self, ids: Sequence[str], keys: Sequence[str]) -> dict[str, Payload]:
        """Return these payload keys of each existing point, including tombstones; omits keys without a value."""

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points in order, grouped by version; raises ValueError if a vector is invalid."""

    def patch(self, patches: Sequence[Patch]) -> None:
        """Apply payload changes in order; missing points and tombstones stay unchanged."""

    def remove(self, versions: Mapping[str, int]) -> None:
        """Delete points by id, each only if its stored version is lower; missing points are ignored."""

    def collect_tombstones(self, before_us: int) -> int:
        """Delete tombstones with `dead_at` before this time (microseconds since 1970, UTC); return their number."""

    def search(self, plans: Sequence[SearchPlan]) -> list[list[ScoredPoint]]:
        """Return the hits of each plan, best first: one per item, by its best picture, or region if included."""

    def facets(self, plans: Sequence[FacetPlan]) -> list[dict[str, int]]:
        """Return the item count of each value, for each plan; at most MAX_FACET_VALUES values."""

    def vectors(self, ids: Sequence[str]) -> dict[str, Vector]:
        """Return the vector of each live point among these ids."""

    def find_by_checksum(self, tenant: str, checksums: Sequence[str]) -> dict[str, Point]:
        """Return a complete live point of the tenant for each `sha256`, if a search of limited length finds one."""

    def sample(self, tenant: str, limit: int) -> dict[str, Payload]:
        """Return up to `limit` live points of a tenant, with their item_id, category, category_source and studio.

        The result is stable while the index does not change: it is the first points by id, and ids are hashes, so
        the sample is unbiased."""

    def count(self, tenant: str | None = None) -> int:
        """Return the number of pictures of live items, in total or of one tenant."""

    def put_note(self, name: str, note: Payload) -> None:
        """Store a note (plain JSON values) in the collection; replaces an earlier note with this name."""

    def notes(self, names: Sequence[str]) -> dict[str, Payload]:
        """Return the stored notes among these names. Searches and counts never include notes."""

    def status(self) -> IndexStatus:
        """Return the status of the index."""

    def optimise(self) -> None:
        """Request that all points are added to the graph soon; `status` shows the progress."""

    def page(self, after: str | None, limit: int) -> tuple[list[Point], str | None]:
        """Return up to `limit` points by id, with regions and tombstones, and the next `after` (None: the end)."""

    def flush(self) -> None:
        """Make all writes durable against power loss."""

    def close(self) -> None:
        """Release the engine."""


def acorn_max_selectivity(plan: SearchPlan) -> float:
    """Return the share of passing points below which search uses ACORN; it is lower if all fields are LINKED."""
    linked = all(isinstance(each, AnyOf | NotAnyOf) and each.field in LINKED for each in conditions(plan))
    return ACORN_SELECTIVITY_LINKED if linked else ACORN_SELECTIVITY


def conditions(plan: SearchPlan | FacetPlan) -> list[Condition]:
    """Conditions that every hit of a plan must satisfy: live, of the plan's tenant, and passing each filter.

    Plans with a vector need no condition for live points: tombstones have no vector, so a search never finds them.
    """
    scope = live_conditions(plan.tenant)
    if isinstance(plan, SearchPlan) and plan.vector is not None:
        scope = tenant_conditions(plan.tenant) if plan.includes_regions else picture_conditions(plan.tenant)
    required = scope + filter_conditions(plan.filters)
    if plan.any_of:
        required.append(OneOf(tuple(tuple(filter_conditions(filters)) for filters in plan.any_of)))
    if plan.none_of:
        required.append(NoneOf(tuple(tuple(filter_conditions(filters)) for filters in plan.none_of)))
    return required + list(plan.extra_conditions)
