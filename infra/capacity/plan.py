"""What a load needs: memory, disk, nodes and shards of the index, workers, partitions; and which cliffs are near.

    points   = items x pictures
    memory   = points x (codes + links + indexes) x replicas, at most USED of a node's
    disk     = points x (originals + codes + links + payload + indexes) x replicas x SPARE
    workers  = rate / what one does x BUSY, whole ones

Links grow with the logarithm of the points. Everything beyond 100,000 points on one machine is extrapolated.
"""

import math
from dataclasses import dataclass

from infra.capacity.measured import MeasuredConstants

USED, SPARE, BUSY = 0.8, 1.5, 0.6
"""Of a node's memory; disk for segments that are being rebuilt; the share of its time that a worker may be at work,
so that few wait."""
LINKS_AT = 100_000
"""Points at which links were measured; both their length and the way through them go by the logarithm."""
NODE_GB, NODE_CORES = 128, 16
NODE_POINTS = 100_000_000
"""Points of a node at most, as Qdrant's documentation advises."""
FEWEST_SHARDS = 12
"""Of a collection that may grow: it can be spread over 1, 2, 3, 6 or 12 nodes as it does."""
EMBEDDED_POINTS, EMBEDDED_SEARCHES = 1_000_000, 50.0
"""Up to here one machine with the embedded engine will do."""
PARTITIONS = 12
"""Numbers of partitions are multiples of this, so that consumers share them evenly."""
MONTH_SECONDS = 30 * 86_400
UNINDEXED = 20_000
"""Points that may be in no graph before searches feel it (0.6 ms)."""


@dataclass(frozen=True)
class CapacityTarget:
    """The load, and what is promised of it."""

    items: float
    searches: float
    """A second."""
    changes: float
    """Item events a second that need a look."""
    pictures: float = 1.0
    """Of an item."""
    p95_ms: float = 400.0
    freshness_s: float = 1.0
    replicas: int = 2

    @property
    def points(self) -> float:
        """One for each picture."""
        return self.items * self.pictures


@dataclass(frozen=True)
class CapacityPlan:
    """What it takes. Sizes are in GB, over all nodes and replicas."""

    points: float
    embedded: bool
    memory_gb: float
    disk_gb: float
    nodes: int
    shards: int
    copies: int
    """Of each shard: those that were asked for, or more, so that every node has one."""
    index_workers: int
    query_workers: int
    item_partitions: int
    request_partitions: int
    engine_cores: float
    warnings: tuple[str, ...]


def make_plan(wanted: CapacityTarget, measured: MeasuredConstants) -> CapacityPlan:
    """What this load needs, by these constants."""
    small = wanted.points <= EMBEDDED_POINTS and wanted.searches <= EMBEDDED_SEARCHES
    replicas = 1 if small else wanted.replicas
    for_points = 1 if small else _nodes(wanted, measured, replicas)
    shards = 1 if small else for_points * max(2, math.ceil(FEWEST_SHARDS / for_points))
    # A search asks one copy of every shard, so that more nodes help it when they hold more copies.
    engine = wanted.searches * shards * measured.engine_ms / 1000 * _growth(wanted.points / shards) / BUSY
    nodes = for_points if small else max(for_points, math.ceil(engine / NODE_CORES))
    copies = max(replicas, math.ceil(nodes / shards))
    index_workers = max(1, math.ceil(wanted.changes / (measured.photos_a_second * BUSY)))
    query_workers = max(1, math.ceil(wanted.searches / (measured.searches_a_second * BUSY)))
    return CapacityPlan(
        points=wanted.points,
        embedded=small,
        memory_gb=wanted.points * _in_memory(wanted.points, measured) * copies / 1e9,
        disk_gb=wanted.points * _on_disk(wanted.points, measured) * copies * SPARE / 1e9,
        nodes=nodes,
        shards=shards,
        copies=copies,
        index_workers=index_workers,
        query_workers=query_workers,
        item_partitions=_partitions(index_workers),
        request_partitions=_partitions(query_workers),
        engine_cores=engine,
        warnings=tuple(_warnings(wanted, measured, nodes)),
    )


def _in_memory(points: float, measured: MeasuredConstants) -> float:
    return measured.code_bytes + measured.graph_bytes * _growth(points) + measured.index_bytes


def _on_disk(points: float, measured: MeasuredConstants) -> float:
    return _in_memory(points, measured) + measured.vector_bytes + measured.payload_bytes


def _growth(points: float) -> float:
    """How much longer the links of so many points are, and the way through them, than where both were measured."""
    return max(1.0, math.log2(max(points, 2)) / math.log2(LINKS_AT))


def _nodes(wanted: CapacityTarget, measured: MeasuredConstants, replicas: int) -> int:
    """So many hold the points."""
    memory_gb = wanted.points * _in_memory(wanted.points, measured) * replicas / 1e9
    by_memory = math.ceil(memory_gb / (NODE_GB * USED))
    by_points = math.ceil(wanted.points * replicas / NODE_POINTS)
    return max(3 if replicas > 1 else 1, by_memory, by_points)


def _partitions(workers: int) -> int:
    """Twice as many as there are workers, so that there may be twice as many."""
    return max(PARTITIONS, math.ceil(2 * workers / PARTITIONS) * PARTITIONS) if workers > 2 else 4


def _warnings(wanted: CapacityTarget, measured: MeasuredConstants, nodes: int) -> list[str]:
    """The cliffs that this load comes near, each with what to do."""
    found = []
    if measured.search_p95_ms > wanted.p95_ms:
        found.append(
            f"a search alone takes {measured.search_p95_ms:.0f} ms (p95), which is above {wanted.p95_ms:.0f}: "
            "choose a quicker encoder, or more cores for each query worker"
        )
    if measured.fresh_p95_ms > wanted.freshness_s * 1000:
        found.append(
            f"an item alone takes {measured.fresh_p95_ms:.0f} ms (p95), above {wanted.freshness_s * 1000:.0f}: "
            "choose a quicker encoder, or more cores for each index worker"
        )
    filled = UNINDEXED * nodes / max(wanted.changes * wanted.pictures, 1e-9)
    if filled < 60:
        found.append(
            f"{UNINDEXED:,} new points are written on each node in {filled:.0f} s: the optimiser must keep up, "
            "or searches compare them one by one"
        )
    if wanted.points > EMBEDDED_POINTS:
        found.append("keep the int8 codes pinned in memory: without that, cold originals make them cold too")
        found.append(
            "a search reads twice its limit of originals from each shard to score them again: once they are out of "
            "the page cache it takes tens of milliseconds, so give the nodes quick local disks"
        )
    return found
