"""Server index: the `Index` on a Qdrant server or cluster, over gRPC."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from qdrant_client import QdrantClient, models

from infra.config.errors import SettingsError
from infra.config.qdrant import QdrantSettings
from infra.qdrant import rows
from infra.qdrant.conditions import Condition, live_conditions, region_conditions
from infra.qdrant.contract import (
    VECTOR,
    FacetPlan,
    IndexStatus,
    Patch,
    Payload,
    Point,
    ScoredPoint,
    SearchPlan,
    Vector,
)
from infra.qdrant.generations import FIRST
from infra.qdrant.server import collections as server_collection
from infra.qdrant.server.errors import CollectionMissing
from infra.qdrant.server.filters import filter_of, patch_of, removal_of, upsert_of
from infra.qdrant.server.nodes import Cluster
from infra.qdrant.server.queries import count_values, filter_by_text, search
from infra.retry import Retry
from schemas.failures import Unavailable

MAX_CONCURRENT_SEARCHES = 8
"""Concurrent requests per batch of plans, because grouped searches have no batch call."""
MISSING_COLLECTION_RETRY = Retry(seconds=2)
"""Time for which a known collection may be missing: a node may learn of changes a moment after the others, and this
process may learn late that a generation was dropped."""

T = TypeVar("T")


class ServerIndex:
    """An Index on a Qdrant server. `number` returns the generation to use. Thread-safe."""

    def __init__(
        self, cluster: Cluster, settings: QdrantSettings, number: Callable[[], int] = lambda: FIRST
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._number = number
        self._names: dict[int, str] = {}
        self._size = 0
        self._search_pool = ThreadPoolExecutor(MAX_CONCURRENT_SEARCHES, "search")

    def open(self, fingerprint: str, size: int) -> None:
        """Create or check the collection for `size` dimensions; raises EncoderDiffers. Safe to run concurrently."""
        encoder = rows.CollectionEncoder(fingerprint, size)
        self._cluster.check()

        def ensure(client: QdrantClient) -> rows.CollectionEncoder:
            server_collection.ensure(client, self._settings, self._number(), size)
            return server_collection.claim(client, self._name(client), encoder)

        rows.check_encoder(self._cluster.run(ensure), encoder)
        self._size = size

    def _name(self, client: QdrantClient) -> str:
        number = self._number()
        if number not in self._names:
            self._names[number] = server_collection.name_of(client, self._settings.collection, number)
        return self._names[number]

    def _request(self, request: Callable[[QdrantClient, str], T]) -> T:
        """Run a request with the collection name; raises SettingsError if the opened collection is gone."""

        def send() -> T:
            return self._cluster.run(lambda client: request(client, self._name(client)))

        if not self._size:
            return send()  # not opened here: another process creates the collection, perhaps later
        try:
            return MISSING_COLLECTION_RETRY.run(send, CollectionMissing)
        except CollectionMissing as error:
            raise SettingsError(
                f"LOOKSTREAM_QDRANT_COLLECTION: the collection was deleted while it was in use ({error}): restart "
                "the workers, which create it again, or restore it from a snapshot"
            ) from None

    def payloads(self, ids: Sequence[str], keys: Sequence[str]) -> dict[str, Payload]:
        """Return these payload keys of each existing point, including tombstones."""
        id_list, key_list = list(ids), list(keys)
        return rows.payloads_in(self._request(lambda client, name: client.retrieve(name, id_list, key_list)))

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points in order, grouped by version; raises ValueError if a vector is invalid."""
        runs = rows.rows_by_version(points, self._size)
        self._write([upsert_of(version, run) for version, run in runs])

    def patch(self, patches: Sequence[Patch]) -> None:
        """Apply payload changes to live points, in order; the server removes keys whose new value is None."""
        self._write([patch_of(patch) for patch in patches])

    def remove(self, versions: Mapping[str, int]) -> None:
        """Delete points by id, each only if its stored version is lower."""
        groups = rows.group_ids_by_version(versions).items()
        self._write([removal_of([rows.older_than(version)], ids) for version, ids in groups])

    def collect_tombstones(self, before_us: int) -> int:
        """Delete tombstones from before this time; return their number before the deletion."""
        expired = rows.tombstone_conditions(before_us)
        count = self._count(expired)
        if count:
            self._write([removal_of(expired)])
        return count

    def search(self, plans: Sequence[SearchPlan]) -> list[list[ScoredPoint]]:
        """Return the hits of each plan, best first, one per item.

        Servers that do not rank by words return the points that have at least one of them, by id.
        """

        def run(client: QdrantClient, name: str) -> list[list[ScoredPoint]]:
            ranks_text = self._cluster.ranks_text
            answerable = plans if ranks_text else [filter_by_text(plan) for plan in plans]
            return list(self._search_pool.map(partial(search, client, name), answerable))

        return self._request(run)

    def facets(self, plans: Sequence[FacetPlan]) -> list[dict[str, int]]:
        """Return the item count of each value, for each plan."""
        return self._request(lambda *target: list(self._search_pool.map(partial(count_values, *target), plans)))

    def vectors(self, ids: Sequence[str]) -> dict[str, Vector]:
        """Return the vector of each live point among these ids."""
        return rows.vectors_in(
            self._request(
                lambda client, name: client.retrieve(name, list(ids), with_payload=False, with_vectors=[VECTOR])
            )
        )

    def find_by_checksum(self, tenant: str, checksums: Sequence[str]) -> dict[str, Point]:
        """Return a live point of the tenant for each `sha256`, if a search of limited length finds one."""
        point_filter = filter_of(rows.checksum_conditions(tenant, checksums))
        records, _ = self._request(
            lambda client, name: client.scroll(
                name, point_filter, limit=rows.CHECKSUM_LIMIT, with_payload=True, with_vectors=[VECTOR]
            )
        )
        return rows.by_checksum(records)

    def sample(self, tenant: str, limit: int) -> dict[str, Payload]:
        """Return SAMPLE_KEYS of up to `limit` live points of a tenant, the first by id."""
        point_filter = filter_of(live_conditions(tenant))
        records, _ = self._request(
            lambda client, name: client.scroll(name, point_filter, limit=limit, with_payload=rows.SAMPLE_KEYS)
        )
        return rows.payloads_in(records)

    def count(self, tenant: str | None = None) -> int:
        """Return the number of pictures of live items, in total or of one tenant."""
        return self._count(live_conditions(tenant))

    def _count(self, conditions: Sequence[Condition]) -> int:
        """Return the exact number of points that satisfy all conditions."""
        point_filter = filter_of(conditions)
        return self._request(lambda client, name: client.count(name, point_filter, exact=True)).count

    def put_note(self, name: str, note: Payload) -> None:
        """Store a note; replaces an earlier note with this name."""
        point = models.PointStruct(id=rows.note_id(name), vector={}, payload=rows.note_payload(note))
        self._write([models.UpsertOperation(upsert=models.PointsList(points=[point]))])

    def notes(self, names: Sequence[str]) -> dict[str, Payload]:
        """Return the stored notes among these names."""
        ids = [rows.note_id(name) for name in names]
        records = self._request(lambda client, name: client.retrieve(name, ids))
        return rows.notes_in(records, names)

    def status(self) -> IndexStatus:
        """Return the status. A server optimises automatically, and counts as optimising while it is not green."""
        info = self._request(lambda client, name: client.get_collection(name))
        encoder = self._request(server_collection.encoder_of)
        live, regions = self.count(), self._count(region_conditions(None))
        return IndexStatus(
            encoder.fingerprint,
            encoder.size,
            live,
            unindexed=max(0, live + regions - (info.indexed_vectors_count or 0)),
            segments=info.segments_count,
            optimising=info.status != models.CollectionStatus.GREEN,
            regions=regions,
        )

    def optimise(self) -> None:
        """Do nothing: a server optimises automatically in the background."""

    def page(self, after: str | None, limit: int) -> tuple[list[Point], str | None]:
        """Return up to `limit` points by id, including tombstones, and the next `after`."""
        point_filter = filter_of([rows.ITEM_POINTS])
        records, next_offset = self._request(
            lambda client, name: client.scroll(
                name, point_filter, limit=limit, offset=after, with_payload=True, with_vectors=[VECTOR]
            )
        )
        return rows.points_in(records), None if next_offset is None else str(next_offset)

    def flush(self) -> None:
        """Do nothing: each write waits until the server has applied and logged it."""

    def close(self) -> None:
        """Close the connections and the thread pool."""
        self._search_pool.shutdown(cancel_futures=True)
        self._cluster.close()

    def check(self) -> None:
        """Raise Unavailable unless a server answers, SettingsError if it is too old or rejects the API key."""
        self._cluster.check()
        self._cluster.run(lambda client: client.collection_exists(self._settings.collection))

    def _write(self, operations: Sequence[models.UpdateOperation]) -> None:
        if not operations:
            return

        def write(client: QdrantClient, name: str) -> list[models.UpdateResult]:
            # Strong ordering: each replica evaluates the condition, so all must apply the writes in the same order.
            return client.batch_update_points(name, operations, ordering=models.WriteOrdering.STRONG)

        if any(result.status != models.UpdateStatus.COMPLETED for result in self._request(write)):
            raise Unavailable(
                f"Qdrant at {self._cluster.places} has not applied the writes it took: it is overloaded"
            )
