"""What both engines agree on: points, search plans, and the Index contract."""

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
    live_of,
    of_tenant,
    passing,
)
from infra.qdrant.payload_indexes import LINKED
from schemas.filters import Filters

VECTOR = "look"
"""The one named vector of a point: [object | style | colour], each part of unit length."""

OVERSAMPLING = 2.0
"""Candidates of the int8 codes that are scored again in float32, over the limit (recall 1.000 of 100,000)."""

RARE, RARE_LINKED = 0.4, 0.02
"""With a smaller share of the points passing the filters, by the engine's own estimate, the graph search looks at
the neighbours of neighbours too (ACORN, arXiv 2403.04871). Without that a price that 9 % have finds 8 % of the true
hits, of 100,000; keywords, which have links of their own in the graph, find as many in a third of the time."""

MOST_VALUES = 1_000
"""Values of a field that are counted: the most frequent ones."""

Payload = Mapping[str, object]
Vector = NDArray[np.float32]


class EncoderDiffers(Exception):
    """The collection was made by another encoder; the message names both and the remedy."""


class EngineError(Exception):
    """The engine failed at a call; the message holds the name and the message of its own error.

    It is there, so waiting does not help: whoever asked for this fails of it, as of any error that nobody expected.
    """


@dataclass(frozen=True)
class Point:
    """One picture of an item; without a vector it is a tombstone.

    The payload must hold `item` (tenant:item_id), `item_id`, `tenant`, `version` (int) and `state` (live or dead).
    """

    id: str
    payload: Payload
    vector: Vector | None


@dataclass(frozen=True)
class Patch:
    """A change to the payload of a point: keys to set, or to remove where the value is None.

    The payload must hold `version` (int).
    """

    id: str
    payload: Payload


@dataclass(frozen=True)
class SearchPlan:
    """One search: `vector` has each part multiplied by its weight, so its dot product is the score."""

    vector: Vector
    tenant: str
    filters: Filters = field(default_factory=Filters)
    any_of: tuple[Filters, ...] = ()
    """Of these at least one must be passed, if there are any."""
    none_of: tuple[Filters, ...] = ()
    """Of these none may be passed; each filters something."""
    limit: int = 10
    min_score: float | None = None
    effort: int = 128
    """hnsw_ef: how many candidates the graph search keeps."""
    exact: bool = False
    """Compare with every point that passes the filters, rather than follow the graph."""
    also: tuple[Condition, ...] = ()
    """What hits must satisfy besides the filters."""
    apart_from: tuple[str, ...] = ()
    """Items that are no hits. Unlike `filters.exclude_items` this is no condition: plans that have the same ones
    share a pass over the points that are in no graph yet (64 plans, 10,000 such points: 1.3 ms a plan, not 6.2)."""
    keys: tuple[str, ...] | None = None
    """Which payload keys the hits come with, besides `item_id`; none: with all."""
    without: tuple[str, ...] = ()
    """Payload keys that the hits come without; `keys` goes first."""

    @property
    def payload_keys(self) -> list[str]:
        """The payload keys to fetch; empty for all but those of `without`."""
        return [] if self.keys is None else ["item_id", *self.keys]


@dataclass(frozen=True)
class ScoredPoint:
    """A point that was found; of each item only its best point."""

    id: str
    score: float
    payload: Payload


@dataclass(frozen=True)
class FacetPlan:
    """One count: how many items of a tenant that pass the filters have each value of a keyword field."""

    name: str
    tenant: str
    filters: Filters = field(default_factory=Filters)
    any_of: tuple[Filters, ...] = ()
    none_of: tuple[Filters, ...] = ()
    also: tuple[Condition, ...] = (MAIN_PICTURE,)


@dataclass(frozen=True)
class IndexStatus:
    """How an index is."""

    fingerprint: str
    """Of the encoder that made it."""
    size: int
    """Numbers a vector."""
    live: int
    """Points that can be found."""
    unindexed: int
    """Those of them that are in no graph yet: searches compare them one by one."""
    segments: int
    bytes: int | None = None
    """What it takes on disk; none where the engine does not say."""
    optimising: bool = False
    wanted: bool = False
    """Whether somebody has asked for it to be optimised, and that has not begun."""


class Index(Protocol):
    """Where looks are kept. Every call raises schemas.failures.Unavailable while the engine is away, EngineError
    when it fails at the call, and SettingsError when a setting is wrong: its key, its port, or a collection that is
    gone.

    Every write says a `version`, and touches only points that are missing or whose stored version is below it. Who
    reads version n and writes n + 1 has therefore changed what it read or nothing at all, whoever else is writing;
    reading it back tells which. Writing the same thing twice is safe.
    """

    def open(self, fingerprint: str, size: int) -> None:
        """Make the collection for vectors of `size`, or check it; raises EncoderDiffers."""

    def payloads(self, ids: Sequence[str], keys: Sequence[str]) -> dict[str, Payload]:
        """These payload keys of each point that exists, tombstones included; keys without a value are left out."""

    def upsert(self, points: Sequence[Point]) -> None:
        """Write the points in their order, those of one version together; raises ValueError on a bad vector."""

    def patch(self, patches: Sequence[Patch]) -> None:
        """Change payloads, in their order; points that do not exist, or are dead, stay as they are."""

    def remove(self, versions: Mapping[str, int]) -> None:
        """Remove the points of these ids, each where its stored version is below; missing ones are ignored."""

    def collect_tombstones(self, before_us: int) -> int:
        """Remove tombstones whose `dead_at` is before this moment (microseconds since 1970, UTC); how many."""

    def search(self, plans: Sequence[SearchPlan]) -> list[list[ScoredPoint]]:
        """Best first for each plan, live points alone, one for each item."""

    def facets(self, plans: Sequence[FacetPlan]) -> list[dict[str, int]]:
        """For each plan the values that there are, MOST_VALUES at most, and how many items have them."""

    def vectors(self, ids: Sequence[str]) -> dict[str, Vector]:
        """The vector of each live point that exists."""

    def same_bytes(self, tenant: str, checksums: Sequence[str]) -> dict[str, Point]:
        """For each `sha256` a live point of the tenant that has it, whole, as far as a quick look finds one."""

    def sample(self, tenant: str, limit: int) -> dict[str, Payload]:
        """Up to `limit` live points of a tenant, by id, with their item_id, category, category_source and studio.

        Always the same ones while the index does not change: the first by id, which is fair, for ids are hashes."""

    def count(self, tenant: str | None = None) -> int:
        """How many live points there are, in all or of one tenant."""

    def take_note(self, name: str, note: Payload) -> None:
        """Keep a note (plain JSON values) in the collection, in place of an older one of that name."""

    def notes(self, names: Sequence[str]) -> dict[str, Payload]:
        """The notes of these names that somebody took. Searches never find notes, nor are they counted."""

    def status(self) -> IndexStatus:
        """How the index is."""

    def optimise(self) -> None:
        """Ask for all points to be in the graph soon; whether they are, `status` tells."""

    def page(self, after: str | None, limit: int) -> tuple[list[Point], str | None]:
        """Up to `limit` points by id, tombstones included, and what to say next as `after`; none at the end."""

    def flush(self) -> None:
        """Make what was written survive a power loss."""

    def close(self) -> None:
        """Let go of the engine."""


def acorn_below(plan: SearchPlan) -> float:
    """The share of passing points under which neighbours of neighbours are looked at: RARE, or RARE_LINKED."""
    plain = all(isinstance(each, AnyOf | NotAnyOf) and each.field in LINKED for each in conditions(plan))
    return RARE_LINKED if plain else RARE


def conditions(plan: SearchPlan | FacetPlan) -> list[Condition]:
    """What every hit of a plan must satisfy: it is live, of the plan's tenant, and passes each filter.

    Searches need not ask whether a point is live: tombstones have no vector, so they are never near anything.
    """
    alive: list[Condition] = live_of(plan.tenant) if isinstance(plan, FacetPlan) else of_tenant(plan.tenant)
    wanted = alive + passing(plan.filters)
    if plan.any_of:
        wanted.append(OneOf(tuple(tuple(passing(filters)) for filters in plan.any_of)))
    if plan.none_of:
        wanted.append(NoneOf(tuple(tuple(passing(filters)) for filters in plan.none_of)))
    return wanted + list(plan.also)
