"""The index on a Qdrant server or a cluster of them, over gRPC."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from qdrant_client import QdrantClient, models

from infra.config.settings import QdrantSettings, SettingsError
from infra.qdrant import rows
from infra.qdrant.conditions import live_of
from infra.qdrant.contract import (
    MOST_VALUES,
    OVERSAMPLING,
    VECTOR,
    FacetPlan,
    IndexStatus,
    Patch,
    Payload,
    Point,
    ScoredPoint,
    SearchPlan,
    Vector,
    acorn_below,
    conditions,
)
from infra.qdrant.generations import FIRST
from infra.qdrant.server import collections as server_collection
from infra.qdrant.server.errors import CollectionMissing
from infra.qdrant.server.filters import filter_of, patch_of, removal_of, upsert_of
from infra.qdrant.server.nodes import Cluster
from infra.retry import Retry
from schemas.failures import Unavailable

SEARCHES_AT_ONCE = 8
"""Grouped searches have no batch call, so this many of a batch are under way at a time."""
GONE = Retry(seconds=2)
"""How long a collection that was there may be missing: a node hears of changes a moment after the others, and this
process of a generation that was dropped."""

T = TypeVar("T")


class ServerIndex:
    """An Index on a Qdrant server, that of the generation which `number` tells. Safe for several threads."""

    def __init__(
        self, cluster: Cluster, settings: QdrantSettings, number: Callable[[], int] = lambda: FIRST
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._number = number
        self._names: dict[int, str] = {}
        self._size = 0
        self._searchers = ThreadPoolExecutor(SEARCHES_AT_ONCE, "search")

    def open(self, fingerprint: str, size: int) -> None:
        """Make the collection for vectors of `size`, or check it; raises EncoderDiffers. Safe to race."""
        mine = rows.CollectionEncoder(fingerprint, size)
        self._cluster.check()

        def ensure(client: QdrantClient) -> rows.CollectionEncoder:
            server_collection.ensure(client, self._settings, self._number(), size)
            return server_collection.claim(client, self._name(client), mine)

        rows.check_encoder(self._cluster.ask(ensure), mine)
        self._size = size

    def _name(self, client: QdrantClient) -> str:
        number = self._number()
        if number not in self._names:
            self._names[number] = server_collection.name_of(client, self._settings.collection, number)
        return self._names[number]

    def _ask(self, request: Callable[[QdrantClient, str], T]) -> T:
        """The answer to a request about the collection of that name."""

        def ask() -> T:
            return self._cluster.ask(lambda client: request(client, self._name(client)))

        if not self._size:
            return ask()  # not opened here: another process makes the collection, perhaps later
        try:
            return GONE.run(ask, CollectionMissing)
        except CollectionMissing as error:
            raise SettingsError(
                f"LOOKSTREAM_QDRANT_COLLECTION: the collection is gone while it was used ({error}): restart the "
                "workers, which make it anew, or restore it from a snapshot"
            ) from None

    def payloads(self, ids: Sequence[str], keys: Sequence[str]) -> dict[str, Payload]:
        """These payload keys of each point that exists, tombstones included."""
        wanted = list(ids), list(keys)
        return rows.payloads_in(self._ask(lambda client, name: client.retrieve(name, wanted[0], wanted[1])))

    def upsert(self, points: Sequence[Point]) -> None:
        """Write the points in their order, those of one version together; raises ValueError on a bad vector."""
        runs = rows.rows_by_version(points, self._size)
        self._write([upsert_of(version, group) for version, group in runs])

    def patch(self, patches: Sequence[Patch]) -> None:
        """Change payloads of live points, in their order; the server removes keys whose new value is None."""
        self._write([patch_of(patch) for patch in patches])

    def remove(self, versions: Mapping[str, int]) -> None:
        """Remove the points of these ids, each where its stored version is below."""
        groups = rows.by_version(versions).items()
        self._write([removal_of([rows.older_than(version)], ids) for version, ids in groups])

    def collect_tombstones(self, before_us: int) -> int:
        """Remove tombstones that are older than this moment; how many there were."""
        old = rows.tombstones(before_us)
        there = self._ask(lambda client, name: client.count(name, filter_of(old), exact=True)).count
        if there:
            self._write([removal_of(old)])
        return there

    def search(self, plans: Sequence[SearchPlan]) -> list[list[ScoredPoint]]:
        """Best first for each plan, live points alone, one for each item."""
        return self._ask(lambda *at: list(self._searchers.map(partial(_search, *at), plans)))

    def facets(self, plans: Sequence[FacetPlan]) -> list[dict[str, int]]:
        """For each plan the values that there are, and how many items have them."""
        return self._ask(lambda *at: list(self._searchers.map(partial(_count_values, *at), plans)))

    def vectors(self, ids: Sequence[str]) -> dict[str, Vector]:
        """The vector of each live point that exists."""
        return rows.vectors_in(
            self._ask(
                lambda client, name: client.retrieve(name, list(ids), with_payload=False, with_vectors=[VECTOR])
            )
        )

    def same_bytes(self, tenant: str, checksums: Sequence[str]) -> dict[str, Point]:
        """For each `sha256` a live point of the tenant that has it, if one is soon found."""
        wanted = filter_of(rows.with_bytes(tenant, checksums))
        records, _ = self._ask(
            lambda client, name: client.scroll(
                name, wanted, limit=rows.TWINS, with_payload=True, with_vectors=[VECTOR]
            )
        )
        return rows.by_checksum(records)

    def sample(self, tenant: str, limit: int) -> dict[str, Payload]:
        """Up to `limit` live points of a tenant, the first by id: some payload keys of each."""
        wanted = filter_of(live_of(tenant))
        records, _ = self._ask(
            lambda client, name: client.scroll(name, wanted, limit=limit, with_payload=rows.SAMPLED)
        )
        return rows.payloads_in(records)

    def count(self, tenant: str | None = None) -> int:
        """How many live points there are, in all or of one tenant."""
        wanted = filter_of(live_of(tenant))
        return self._ask(lambda client, name: client.count(name, wanted, exact=True)).count

    def take_note(self, name: str, note: Payload) -> None:
        """Keep a note in the collection, in place of an older one of that name."""
        point = models.PointStruct(id=rows.note_id(name), vector={}, payload=rows.note_payload(note))
        self._write([models.UpsertOperation(upsert=models.PointsList(points=[point]))])

    def notes(self, names: Sequence[str]) -> dict[str, Payload]:
        """The notes of these names that somebody took."""
        ids = [rows.note_id(name) for name in names]
        found = self._ask(lambda client, name: client.retrieve(name, ids))
        return rows.notes_in(found, names)

    def status(self) -> IndexStatus:
        """How the collection is; a server optimises by itself, and does so while its status is not green."""
        about = self._ask(lambda client, name: client.get_collection(name))
        maker = self._ask(server_collection.maker_of)
        live = self.count()
        unindexed = max(0, live - (about.indexed_vectors_count or 0))
        optimising = about.status != models.CollectionStatus.GREEN
        segments = about.segments_count
        return IndexStatus(maker.fingerprint, maker.size, live, unindexed, segments, optimising=optimising)

    def optimise(self) -> None:
        """Nothing to do: a server optimises by itself, in the background."""

    def page(self, after: str | None, limit: int) -> tuple[list[Point], str | None]:
        """Up to `limit` points by id, tombstones included, and where to go on."""
        wanted = filter_of([rows.PICTURES])
        records, following = self._ask(
            lambda client, name: client.scroll(
                name, wanted, limit=limit, offset=after, with_payload=True, with_vectors=[VECTOR]
            )
        )
        return rows.points_in(records), None if following is None else str(following)

    def flush(self) -> None:
        """Nothing to do: each write waits until the server has applied and logged it."""

    def close(self) -> None:
        """Close the connection."""
        self._searchers.shutdown(cancel_futures=True)
        self._cluster.close()

    def check(self) -> None:
        """Raise Unavailable unless a server answers, SettingsError when it is too old or does not take the key."""
        self._cluster.check()
        self._cluster.ask(lambda client: client.collection_exists(self._settings.collection))

    def _write(self, operations: Sequence[models.UpdateOperation]) -> None:
        if not operations:
            return

        def write(client: QdrantClient, name: str) -> list[models.UpdateResult]:
            # Strong ordering: each replica evaluates the condition, so all must see the writes in one order.
            return client.batch_update_points(name, operations, ordering=models.WriteOrdering.STRONG)

        if any(result.status != models.UpdateStatus.COMPLETED for result in self._ask(write)):
            raise Unavailable(
                f"Qdrant at {self._cluster.places} has not applied the writes it took: it is overloaded"
            )


def _search(client: QdrantClient, name: str, plan: SearchPlan) -> list[ScoredPoint]:
    params = models.SearchParams(
        hnsw_ef=plan.effort,
        exact=plan.exact,
        quantization=models.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING),
        acorn=models.AcornSearchParams(enable=True, max_selectivity=acorn_below(plan)),
    )
    answer = client.query_points_groups(
        name,
        group_by="item",
        query=plan.vector.tolist(),
        using=VECTOR,
        query_filter=filter_of(conditions(plan)),
        search_params=params,
        score_threshold=plan.min_score,
        with_payload=plan.payload_keys or models.PayloadSelectorExclude(exclude=list(plan.without)),
        limit=plan.limit + len(plan.apart_from),
        group_size=1,
    )
    found = [ScoredPoint(str(g.hits[0].id), g.hits[0].score, g.hits[0].payload or {}) for g in answer.groups]
    return [one for one in found if one.payload["item_id"] not in plan.apart_from][: plan.limit]


def _count_values(client: QdrantClient, name: str, plan: FacetPlan) -> dict[str, int]:
    found = client.facet(name, plan.name, filter_of(conditions(plan)), limit=MOST_VALUES, exact=True)
    return {str(hit.value): hit.count for hit in found.hits}
