"""Item events: the events of a batch by item, and the points that the index has of these items."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from consumers.embedding.region_policy import RegionPolicy
from consumers.indexing.merge import ItemChange, changes_by_item
from consumers.indexing.stored_regions import Points, region_count
from consumers.points.payload import KNOWN_KEYS, ItemState, as_int, state_of
from infra.qdrant.contract import Index, Payload
from infra.qdrant.point_ids import MAX_POINTS, is_region, numbered_id, point_ids
from schemas.envelope import Event
from schemas.failures import Failure
from schemas.items import MAX_IMAGES, ItemDeleted, ItemUpserted, item_key


@dataclass(frozen=True)
class ItemEvents:
    """The events of a batch about one item, and what earlier rounds of the batch have found out about them."""

    tenant: str
    item_id: str
    changes: Sequence[ItemChange]
    ids: Sequence[str]
    """The ids that the points of its pictures can have; the main point's is first."""
    failures: Mapping[str, Failure] = field(default_factory=dict)
    """Failures of events whose pictures have failed, by event id; the state ignores these events."""
    notified_watches: tuple[str, ...] = ()
    """The marks of the watches that have been notified of the item."""
    lost_races: int = 0
    """How often another writer wrote the item between reading and writing."""

    @property
    def key(self) -> str:
        """Tenant and item id as one string."""
        return item_key(self.tenant, self.item_id)

    def point_id(self, number: int) -> str:
        """The id of the point with this number: a picture, or a region of one."""
        return numbered_id(self.tenant, self.item_id, number) if is_region(number) else self.ids[number]

    def may_have_regions(self, policy: RegionPolicy) -> bool:
        """Whether the index may have regions of it of which no picture says so.

        After a broken write of an upsert with regions there are. The events of that write are handled again; if
        they become dead letters, a delete still finds the regions.
        """
        bodies = [change.body for change in self.changes]
        return any(
            isinstance(body, ItemDeleted) or (isinstance(body, ItemUpserted) and policy.method(body) != "")
            for body in bodies
        )


@dataclass(frozen=True)
class StoredState:
    """An item as the index holds it. The main point is authoritative; the others follow it."""

    points: Points = field(default_factory=dict)

    @property
    def main(self) -> Payload:
        """The payload of the main point; empty if there is none."""
        return self.points.get(0, {})

    @property
    def state(self) -> ItemState:
        """The state in the main point."""
        return state_of(self.main)

    @property
    def version(self) -> int:
        """The highest version of its points; 0 if there are none."""
        return max((as_int(point.get("version", 0)) for point in self.points.values()), default=0)


def items_of(events: Iterable[Event]) -> list[ItemEvents]:
    """The items of a batch, each with its events."""
    return [
        ItemEvents(body.tenant, body.item_id, changes, point_ids(body.tenant, body.item_id))
        for changes in changes_by_item(events).values()
        for body in (changes[0].body,)
    ]


def read(index: Index, items: Sequence[ItemEvents], policy: RegionPolicy) -> list[StoredState]:
    """The stored states of items: all points are read, so that incomplete writes are repaired.

    The regions of most items are not: there are none. Those that a picture has are read in a second call.
    """
    of_all = [range(MAX_POINTS if item.may_have_regions(policy) else MAX_IMAGES) for item in items]
    states = _read_points(index, items, of_all)
    of_regions = [
        range(len(numbers), MAX_POINTS) if any(map(region_count, state.points.values())) else range(0)
        for numbers, state in zip(of_all, states, strict=True)
    ]
    if not any(of_regions):
        return states
    regions = _read_points(index, items, of_regions)
    return [StoredState({**state.points, **more.points}) for state, more in zip(states, regions, strict=True)]


def _read_points(index: Index, items: Sequence[ItemEvents], numbers: Sequence[range]) -> list[StoredState]:
    """The stored points of items with these numbers."""
    ids = [{n: item.point_id(n) for n in of_item} for item, of_item in zip(items, numbers, strict=True)]
    stored = index.payloads([id for of_item in ids for id in of_item.values()], KNOWN_KEYS)
    return [StoredState({n: stored[id] for n, id in of_item.items() if id in stored}) for of_item in ids]
