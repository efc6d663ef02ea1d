"""The index on a Qdrant server (1.17 or newer), over gRPC."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import grpc
from qdrant_client import QdrantClient, models

from infra.generations import FIRST
from infra.qdrant import server_collection, stored
from infra.qdrant.conditions import live_of
from infra.qdrant.plan import (
    MOST_VALUES,
    OVERSAMPLING,
    VECTOR,
    FacetPlan,
    Found,
    IndexStatus,
    Patch,
    Payload,
    Point,
    SearchPlan,
    Vector,
    acorn_below,
    conditions,
)
from infra.qdrant.server_collection import REFUSED
from infra.qdrant.server_words import filter_of, patch_of, removal_of, upsert_of
from infra.settings import Qdrant
from schemas.failures import Unavailable

OLDEST = [1, 17]
"""The first version with insert-only writes; older servers silently ignore the conditions of writes."""
SEARCHES_AT_ONCE = 8
"""Grouped searches have no batch call, so this many of a batch are under way at a time."""


def reach_server(settings: Qdrant) -> QdrantClient:
    """A client of the server of the settings; nothing is sent before the first call."""
    key = settings.api_key.get_secret_value() if settings.api_key else None
    return QdrantClient(
        url=settings.url,
        grpc_port=settings.grpc_port,
        prefer_grpc=True,
        api_key=key,
        timeout=math.ceil(settings.timeout_s),
        check_compatibility=False,
    )


class ServerIndex:
    """An Index on a Qdrant server, that of the generation which `number` tells. Safe for several threads."""

    def __init__(self, client: QdrantClient, settings: Qdrant, number: Callable[[], int] = lambda: FIRST) -> None:
        self._client = client
        self._settings = settings
        self._number = number
        self._names: dict[int, str] = {}
        self._size = 0
        self._searchers = ThreadPoolExecutor(SEARCHES_AT_ONCE, "search")

    def open(self, fingerprint: str, size: int) -> None:
        """Make the collection for vectors of `size`, or check it; raises EncoderDiffers. Safe to race."""
        mine = stored.Maker(fingerprint, size)
        self.check()
        with self._asking():
            server_collection.ensure(self._client, self._settings, self._number(), size)
            stored.check_maker(server_collection.claim(self._client, self._name, mine), mine)
        self._size = size

    @property
    def _name(self) -> str:
        number = self._number()
        if number not in self._names:
            self._names[number] = server_collection.name_of(self._client, self._settings.collection, number)
        return self._names[number]

    def payloads(self, ids: Sequence[str], keys: Sequence[str]) -> dict[str, Payload]:
        """These payload keys of each point that exists, tombstones included."""
        with self._asking():
            return stored.payloads_in(self._client.retrieve(self._name, list(ids), with_payload=list(keys)))

    def upsert(self, points: Sequence[Point]) -> None:
        """Write the points in their order, those of one version together; raises ValueError on a bad vector."""
        runs = stored.rows_by_version(points, self._size)
        self._write([upsert_of(version, rows) for version, rows in runs])

    def patch(self, patches: Sequence[Patch]) -> None:
        """Change payloads of live points, in their order; the server removes keys whose new value is None."""
        self._write([patch_of(patch) for patch in patches])

    def remove(self, versions: Mapping[str, int]) -> None:
        """Remove the points of these ids, each where its stored version is below."""
        groups = stored.by_version(versions).items()
        self._write([removal_of([stored.older_than(version)], ids) for version, ids in groups])

    def collect_tombstones(self, before_us: int) -> int:
        """Remove tombstones that are older than this moment; how many there were."""
        old = stored.tombstones(before_us)
        with self._asking():
            there = self._client.count(self._name, filter_of(old), exact=True).count
        if there:
            self._write([removal_of(old)])
        return there

    def search(self, plans: Sequence[SearchPlan]) -> list[list[Found]]:
        """Best first for each plan, live points alone, one for each item."""
        with self._asking():
            return list(self._searchers.map(self._search, plans))

    def facets(self, plans: Sequence[FacetPlan]) -> list[dict[str, int]]:
        """For each plan the values that there are, and how many items have them."""
        with self._asking():
            return list(self._searchers.map(self._facets, plans))

    def vectors(self, ids: Sequence[str]) -> dict[str, Vector]:
        """The vector of each live point that exists."""
        with self._asking():
            records = self._client.retrieve(self._name, list(ids), with_payload=False, with_vectors=[VECTOR])
        return stored.vectors_in(records)

    def same_bytes(self, tenant: str, checksums: Sequence[str]) -> dict[str, Point]:
        """For each `sha256` a live point of the tenant that has it, if one is soon found."""
        wanted = filter_of(stored.with_bytes(tenant, checksums))
        with self._asking():
            records, _ = self._client.scroll(
                self._name, wanted, limit=stored.TWINS, with_payload=True, with_vectors=[VECTOR]
            )
        return stored.by_checksum(records)

    def sample(self, tenant: str, limit: int) -> dict[str, Payload]:
        """Up to `limit` live points of a tenant, the first by id: some payload keys of each."""
        wanted = filter_of(live_of(tenant))
        with self._asking():
            records, _ = self._client.scroll(self._name, wanted, limit=limit, with_payload=stored.SAMPLED)
        return stored.payloads_in(records)

    def count(self, tenant: str | None = None) -> int:
        """How many live points there are, in all or of one tenant."""
        with self._asking():
            return self._client.count(self._name, filter_of(live_of(tenant)), exact=True).count

    def take_note(self, name: str, note: Payload) -> None:
        """Keep a note in the collection, in place of an older one of that name."""
        point = models.PointStruct(id=stored.note_id(name), vector={}, payload=stored.note_payload(note))
        self._write([models.UpsertOperation(upsert=models.PointsList(points=[point]))])

    def notes(self, names: Sequence[str]) -> dict[str, Payload]:
        """The notes of these names that somebody took."""
        with self._asking():
            found = self._client.retrieve(self._name, [stored.note_id(name) for name in names])
        return stored.notes_in(found, names)

    def status(self) -> IndexStatus:
        """How the collection is; a server optimises by itself, and does so while its status is not green."""
        with self._asking():
            about = self._client.get_collection(self._name)
            maker = server_collection.maker_of(self._client, self._name)
        live = self.count()
        unindexed = max(0, live - (about.indexed_vectors_count or 0))
        optimising = about.status != models.CollectionStatus.GREEN
        segments = about.segments_count
        return IndexStatus(maker.fingerprint, maker.size, live, unindexed, segments, optimising=optimising)

    def optimise(self) -> None:
        """Nothing to do: a server optimises by itself, in the background."""

    def page(self, after: str | None, limit: int) -> tuple[list[Point], str | None]:
        """Up to `limit` points by id, tombstones included, and where to go on."""
        wanted = filter_of([stored.PICTURES])
        with self._asking():
            records, following = self._client.scroll(
                self._name, wanted, limit=limit, offset=after, with_payload=True, with_vectors=[VECTOR]
            )
        return stored.points_in(records), None if following is None else str(following)

    def flush(self) -> None:
        """Nothing to do: each write waits until the server has applied and logged it."""

    def close(self) -> None:
        """Close the connection."""
        self._searchers.shutdown(cancel_futures=True)
        self._client.close()

    def check(self) -> None:
        """Raise Unavailable unless a server answers that is new enough."""
        with self._asking():
            version = self._client.info().version
        if [int(part) for part in version.split(".")[:2]] < OLDEST:
            raise Unavailable(f"Qdrant at {self._place()} is version {version}: upgrade it to 1.17 or newer")

    def _write(self, operations: Sequence[models.UpdateOperation]) -> None:
        # Strong ordering: each replica evaluates the condition, so all must see the writes in one order.
        if operations:
            with self._asking():
                done = self._client.batch_update_points(
                    self._name, operations, ordering=models.WriteOrdering.STRONG
                )
            if any(result.status != models.UpdateStatus.COMPLETED for result in done):
                raise Unavailable(f"Qdrant at {self._place()} has not applied the writes it took: it is overloaded")

    def _search(self, plan: SearchPlan) -> list[Found]:
        params = models.SearchParams(
            hnsw_ef=plan.effort,
            exact=plan.exact,
            quantization=models.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING),
            acorn=models.AcornSearchParams(enable=True, max_selectivity=acorn_below(plan)),
        )
        answer = self._client.query_points_groups(
            self._name,
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
        found = [Found(str(g.hits[0].id), g.hits[0].score, g.hits[0].payload or {}) for g in answer.groups]
        return [one for one in found if one.payload["item_id"] not in plan.apart_from][: plan.limit]

    def _facets(self, plan: FacetPlan) -> dict[str, int]:
        wanted = filter_of(conditions(plan))
        found = self._client.facet(self._name, plan.name, wanted, limit=MOST_VALUES, exact=True)
        return {str(hit.value): hit.count for hit in found.hits}

    def _place(self) -> str:
        """Where the server is, for sentences: never a password or key."""
        url = urlsplit(self._settings.url or "memory:")
        return f"{url.scheme}://{url.hostname}:{self._settings.grpc_port}"

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except REFUSED as error:
            if isinstance(error, grpc.RpcError) and error.code() == grpc.StatusCode.INVALID_ARGUMENT:
                raise ValueError(f"Qdrant at {self._place()} refuses the request: {error.details()}") from None
            reason = f"{error.code().name}: {error.details()}" if isinstance(error, grpc.RpcError) else error
            raise Unavailable(
                f"Qdrant at {self._place()} is away ({reason}): start it, or check LOOKSTREAM_QDRANT_URL, "
                "LOOKSTREAM_QDRANT_GRPC_PORT and LOOKSTREAM_QDRANT_API_KEY"
            ) from None
