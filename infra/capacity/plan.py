"""Capacity plan: computes the memory, disk, nodes, shards, workers and partitions for a load, with warnings.

    points   = items x (pictures of an item + regions of an item, which have smaller payloads)
    memory   = points x (codes + graph links + payload indexes + words) x replicas, at most 80% of a node's memory
    disk     = points x (originals + codes + graph links + payload + payload indexes + words) x replicas x 1.5
    workers  = rate / (rate of one worker x 0.6), rounded up; regions take more time of an index worker

Graph links grow with the logarithm of the points. Figures beyond 100,000 points on one machine are extrapolated.
"""

import math
from dataclasses import dataclass

from infra.capacity.constants import MeasuredConstants

USED, DISK_HEADROOM, UTILISATION = 0.8, 1.5, 0.6
"""Maximum share of a node's memory; factor on disk, for segments that are being rebuilt; maximum utilisation of a
worker, which keeps queues short."""
GRAPH_MEASURED_POINTS = 100_000
"""Points at which the graph was measured; link size and search time grow with the logarithm of the points."""
NODE_GB, NODE_CORES = 128, 16
NODE_POINTS = 100_000_000
"""Maximum number of points on a node, from Qdrant's documentation."""
MIN_SHARDS = 12
"""Minimum number of shards of a collection that may grow: 12 spread evenly over 1, 2, 3, 6 or 12 nodes."""
MAX_EMBEDDED_POINTS, MAX_EMBEDDED_SEARCHES = 1_000_000, 50.0
"""Maximum points, and searches a second, for the embedded engine on one machine."""
PARTITION_STEP = 12
"""Numbers of partitions are multiples of this, so that consumers share them evenly."""
MONTH_SECONDS = 30 * 86_400
MAX_UNINDEXED_POINTS = 20_000
"""Points outside the graph above which searches become noticeably slower (0.6 ms)."""

REGION_PAYLOAD_BYTES = 2_000
"""Payload of a region on disk: the facts of its item, its colours and its box. Thumbnail and keypoints are those of
its picture. In memory a region takes as much as a picture."""
DETECTION_SHARE, REGION_SHARE = 0.2, 0.5
"""Time to look for the things in a picture, and for each thing, as shares of the time to decode and embed it.

Measured on 9 pictures of three things each (68 ms of one core without, 195 ms with them) and on 16 photos in which
none was found (85 ms, 102 ms); encoder `best`."""


@dataclass(frozen=True)
class CapacityTarget:
    """Expected load and service levels."""

    items: float
    searches: float
    """Searches a second."""
    changes: float
    """Item events a second for which a look must be computed."""
    pictures: float = 1.0
    """Pictures of an item, on average."""
    regions: float = 0.0
    """Regions of an item, things in its pictures that are points of their own, on average."""
    p95_ms: float = 400.0
    freshness_s: float = 1.0
    replicas: int = 2

    @property
    def points(self) -> float:
        """Points in the index: one for each picture and each region."""
        return self.items * (self.pictures + self.regions)


@dataclass(frozen=True)
class CapacityPlan:
    """Resources that a load needs. Sizes are in GB, over all nodes and replicas."""

    points: float
    embedded: bool
    memory_gb: float
    disk_gb: float
    nodes: int
    shards: int
    copies: int
    """Copies of each shard: the replicas of the target, or more, so that every node has a shard."""
    index_workers: int
    query_workers: int
    item_partitions: int
    request_partitions: int
    engine_cores: float
    words_memory_gb: float
    """The part of the memory that searches by words need."""
    words_ms: float
    """Core time of a search by words in one shard, for a tenant that has all items."""
    warnings: tuple[str, ...]


def make_plan(target: CapacityTarget, measured: MeasuredConstants) -> CapacityPlan:
    """Compute the resources for a load from the constants of a machine."""
    embedded = target.points <= MAX_EMBEDDED_POINTS and target.searches <= MAX_EMBEDDED_SEARCHES
    replicas = 1 if embedded else target.replicas
    storage_nodes = 1 if embedded else _storage_nodes(target, measured, replicas)
    shards = 1 if embedded else storage_nodes * max(2, math.ceil(MIN_SHARDS / storage_nodes))
    # A search queries one copy of every shard: additional nodes speed it up only when they hold more copies.
    cores = (
        target.searches * shards * measured.engine_ms / 1000 * _graph_growth(target.points / shards) / UTILISATION
    )
    nodes = storage_nodes if embedded else max(storage_nodes, math.ceil(cores / NODE_CORES))
    copies = max(replicas, math.ceil(nodes / shards))
    changes = target.changes * indexing_factor(target.pictures, target.regions)
    index_workers = max(1, math.ceil(changes / (measured.photos_a_second * UTILISATION)))
    query_workers = max(1, math.ceil(target.searches / (measured.searches_a_second * UTILISATION)))
    return CapacityPlan(
        points=target.points,
        embedded=embedded,
        memory_gb=target.points * _memory_bytes_per_point(target.points, measured) * copies / 1e9,
        disk_gb=_disk_bytes(target, measured) * copies * DISK_HEADROOM / 1e9,
        nodes=nodes,
        shards=shards,
        copies=copies,
        index_workers=index_workers,
        query_workers=query_workers,
        item_partitions=_partitions(index_workers),
        request_partitions=_partitions(query_workers),
        engine_cores=cores,
        words_memory_gb=target.points * measured.words_bytes * copies / 1e9,
        words_ms=_words_ms(target, measured, shards),
        warnings=tuple(_warnings(target, measured, nodes, shards)),
    )


def _memory_bytes_per_point(points: float, measured: MeasuredConstants) -> float:
    indexes = measured.index_bytes + measured.words_bytes
    return measured.code_bytes + measured.graph_bytes * _graph_growth(points) + indexes


def _disk_bytes(target: CapacityTarget, measured: MeasuredConstants) -> float:
    payload = payload_bytes(target.pictures, target.regions, measured.payload_bytes) + measured.words_payload_bytes
    return target.points * (_memory_bytes_per_point(target.points, measured) + measured.vector_bytes + payload)


def _words_ms(target: CapacityTarget, measured: MeasuredConstants, shards: int) -> float:
    """Time of a search by words, which grows with the points: the engine counts each word among the tenant's."""
    return target.points / shards * measured.words_us / 1000


def payload_bytes(pictures: float, regions: float, picture_bytes: float) -> float:
    """Return the mean payload of a point on disk, of items with so many pictures and regions."""
    return (pictures * picture_bytes + regions * REGION_PAYLOAD_BYTES) / (pictures + regions)


def indexing_factor(pictures: float, regions: float) -> float:
    """Return how many times as long an index worker takes for an item as without its regions; 1 without any.

    Things are looked for in each picture of an item with regions.
    """
    return 1.0 + (DETECTION_SHARE + REGION_SHARE * regions / pictures if regions else 0.0)


def _graph_growth(points: float) -> float:
    """Factor, at least 1, by which link size and search time exceed those at the measured number of points."""
    return max(1.0, math.log2(max(points, 2)) / math.log2(GRAPH_MEASURED_POINTS))


def _storage_nodes(target: CapacityTarget, measured: MeasuredConstants, replicas: int) -> int:
    """Nodes that are needed to store the points, with each copy of a shard on a node of its own."""
    memory_gb = target.points * _memory_bytes_per_point(target.points, measured) * replicas / 1e9
    nodes_for_memory = math.ceil(memory_gb / (NODE_GB * USED))
    nodes_for_points = math.ceil(target.points * replicas / NODE_POINTS)
    return max(3 if replicas > 1 else 1, replicas, nodes_for_memory, nodes_for_points)


def _partitions(workers: int) -> int:
    """At least two partitions for each worker, so that the number of workers can double."""
    return max(PARTITION_STEP, math.ceil(2 * workers / PARTITION_STEP) * PARTITION_STEP) if workers > 2 else 4


def _warnings(target: CapacityTarget, measured: MeasuredConstants, nodes: int, shards: int) -> list[str]:
    """Limits that this load reaches or comes near, each with a remedy."""
    warnings = []
    if measured.search_p95_ms > target.p95_ms:
        warnings.append(
            f"a search alone takes {measured.search_p95_ms:.0f} ms (p95), which is above {target.p95_ms:.0f}: "
            "choose a quicker encoder, or more cores for each query worker"
        )
    if measured.fresh_p95_ms > target.freshness_s * 1000:
        warnings.append(
            f"an item alone takes {measured.fresh_p95_ms:.0f} ms (p95), above {target.freshness_s * 1000:.0f}: "
            "choose a quicker encoder, or more cores for each index worker"
        )
    if (words_ms := _words_ms(target, measured, shards)) > target.p95_ms:
        warnings.append(
            f"a search by words takes {words_ms:,.0f} ms in a shard if one tenant has all items, above "
            f"{target.p95_ms:.0f}: divide the items among tenants, or create the collection with more shards"
        )
    fill_seconds = MAX_UNINDEXED_POINTS * nodes / max(target.changes * (target.pictures + target.regions), 1e-9)
    if fill_seconds < 60:
        warnings.append(
            f"{MAX_UNINDEXED_POINTS:,} new points are written on each node in {fill_seconds:.0f} s: "
            "the optimiser must keep up, or searches compare them one by one"
        )
    if target.points > MAX_EMBEDDED_POINTS:
        warnings.append("keep the int8 codes pinned in memory: without that, cold originals make them cold too")
        warnings.append(
            "a search reads twice its limit of originals from each shard to score them again: once they are out of "
            "the page cache it takes tens of milliseconds, so give the nodes quick local disks"
        )
    return warnings
