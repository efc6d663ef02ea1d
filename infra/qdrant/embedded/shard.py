"""Shard: the embedded engine, a qdrant-edge shard in a folder, opened by one process only.

The owner optimises a copy in a child process instead of this shard, because optimisation holds the GIL for its
whole duration (owner_process.py).
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID

import qdrant_edge as edge

from infra.qdrant import rows
from infra.qdrant.conditions import live_conditions, region_conditions
from infra.qdrant.contract import (
    MAX_FACET_VALUES,
    VECTOR,
    FacetPlan,
    IndexStatus,
    Patch,
    Payload,
    Point,
    ScoredPoint,
    SearchPlan,
    Vector,
    conditions,
)
from infra.qdrant.embedded import shard_files, shard_search
from infra.qdrant.embedded.filters import filter_of
from infra.qdrant.embedded.storage import bytes_in, current_shard
from schemas.failures import Unavailable


class Shard:
    """An Index in this process. Every call holds the GIL; not thread-safe.

    It opens `path`, or by default the current shard of the folder. `min_free` is the number of bytes of free disk
    that a write requires, because on a full disk the engine dies of SIGBUS.
    """

    def __init__(self, folder: Path, min_free: int, path: Path | None = None) -> None:
        self._folder = folder
        self._min_free = min_free
        self._path = path or current_shard(folder)
        self._shard: edge.EdgeShard | None = None
        self._size = 0
        if self._path.exists():
            self._load()

    def open(self, fingerprint: str, size: int) -> None:
        """Create the shard for vectors with `size` dimensions, or check it; raises EncoderDiffers."""
        encoder = rows.CollectionEncoder(fingerprint, size)
        if self._shard is None:
            self._check_space()
            shard_files.make(self._path, encoder)
            self._load()
        rows.check_encoder(shard_files.encoder_of(self._opened()), encoder)

    def payloads(self, ids: Sequence[str], keys: Sequence[str]) -> dict[str, Payload]:
        """Return these payload keys of each existing point, including tombstones."""
        return rows.payloads_in(self._opened().retrieve(list(ids), with_payload=list(keys), with_vector=False))

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points in order, grouped by version; raises ValueError if a vector is invalid."""
        shard = self._writable()
        for version, run in rows.rows_by_version(points, self._size):
            edge_points = [_point(row) for row in run]
            shard.update(edge.UpdateOperation.upsert_points(edge_points, filter_of([rows.older_than(version)])))

    def patch(self, patches: Sequence[Patch]) -> None:
        """Apply payload changes to live points, in order; the engine removes keys whose new value is None."""
        shard = self._writable()
        for patch in patches:
            point_filter = filter_of(rows.patch_conditions(patch), [patch.id])
            shard.update(edge.UpdateOperation.set_payload_by_filter(point_filter, dict(patch.payload)))

    def remove(self, versions: Mapping[str, int]) -> None:
        """Delete points by id, each only if its stored version is lower."""
        shard = self._writable()
        for version, ids in rows.group_ids_by_version(versions).items():
            point_filter = filter_of([rows.older_than(version)], ids)
            shard.update(edge.UpdateOperation.delete_points_by_filter(point_filter))

    def collect_tombstones(self, before_us: int) -> int:
        """Delete tombstones from before this time; return their number."""
        point_filter = filter_of(rows.tombstone_conditions(before_us))
        if count := self._opened().count(edge.CountRequest(exact=True, filter=point_filter)):
            self._writable().update(edge.UpdateOperation.delete_points_by_filter(point_filter))
        return count

    def search(self, plans: Sequence[SearchPlan]) -> list[list[ScoredPoint]]:
        """Return the hits of each plan, best first, one per item."""
        return shard_search.search(self._opened(), plans)

    def facets(self, plans: Sequence[FacetPlan]) -> list[dict[str, int]]:
        """Return the item count of each value, for each plan."""
        return [self._facets(plan) for plan in plans]

    def vectors(self, ids: Sequence[str]) -> dict[str, Vector]:
        """Return the vector of each live point among these ids."""
        records = self._opened().retrieve(list(ids), with_payload=False, with_vector=[VECTOR])
        return rows.vectors_in(records)

    def find_by_checksum(self, tenant: str, checksums: Sequence[str]) -> dict[str, Point]:
        """Return a live point of the tenant for each `sha256`, if a search of limited length finds one."""
        point_filter = filter_of(rows.checksum_conditions(tenant, checksums))
        request = edge.ScrollRequest(
            limit=rows.CHECKSUM_LIMIT, filter=point_filter, with_payload=True, with_vector=[VECTOR]
        )
        return rows.by_checksum(self._opened().scroll(request)[0])

    def sample(self, tenant: str, limit: int) -> dict[str, Payload]:
        """Return SAMPLE_KEYS of up to `limit` live points of a tenant, the first by id."""
        request = edge.ScrollRequest(
            limit=limit, filter=filter_of(live_conditions(tenant)), with_payload=rows.SAMPLE_KEYS, with_vector=False
        )
        return rows.payloads_in(self._opened().scroll(request)[0])

    def count(self, tenant: str | None = None) -> int:
        """Return the number of pictures of live items, in total or of one tenant."""
        return self._opened().count(edge.CountRequest(exact=True, filter=filter_of(live_conditions(tenant))))

    def put_note(self, name: str, note: Payload) -> None:
        """Store a note; replaces an earlier note with this name."""
        point = edge.Point(rows.note_id(name), {}, rows.note_payload(note))
        self._writable().update(edge.UpdateOperation.upsert_points([point]))

    def notes(self, names: Sequence[str]) -> dict[str, Payload]:
        """Return the stored notes among these names."""
        ids: list[int | UUID | str] = [rows.note_id(name) for name in names]
        return rows.notes_in(self._opened().retrieve(ids, with_payload=True, with_vector=False), names)

    def status(self) -> IndexStatus:
        """Return the status of the shard."""
        info, encoder, live = self._opened().info(), shard_files.encoder_of(self._opened()), self.count()
        regions = self._opened().count(edge.CountRequest(exact=True, filter=filter_of(region_conditions(None))))
        unindexed = max(0, live + regions - info.indexed_vectors_count)
        return IndexStatus(
            encoder.fingerprint,
            encoder.size,
            live,
            unindexed,
            info.segments_count,
            bytes_in(self._path),
            regions=regions,
        )

    def optimise(self) -> None:
        """Add all points to the graph synchronously; nothing else runs in this process meanwhile."""
        self._opened().optimize()

    def page(self, after: str | None, limit: int) -> tuple[list[Point], str | None]:
        """Return up to `limit` points by id, including tombstones, and the next `after`."""
        point_filter = filter_of([rows.ITEM_POINTS])
        request = edge.ScrollRequest(
            offset=after, limit=limit, filter=point_filter, with_payload=True, with_vector=[VECTOR]
        )
        records, next_offset = self._opened().scroll(request)
        return rows.points_in(records), None if next_offset is None else str(next_offset)

    def flush(self) -> None:
        """Make all writes durable against power loss; a killed process loses nothing even without this.

        It also empties the log, and holds the GIL for 40 to 200 ms per 10,000 points.
        """
        if self._shard is not None:
            self._shard.flush()

    def sync(self) -> int:
        """Make the log durable; loading the shard replays it. Return the size of the log in bytes.

        It releases the GIL, but no write may run at the same time.
        """
        return 0 if self._shard is None else shard_files.sync_log(self._path)

    def close(self) -> None:
        """Flush and release the folder."""
        if self._shard is not None:
            self._shard.flush()
            self._shard.close()
            self._shard = None

    def _facets(self, plan: FacetPlan) -> dict[str, int]:
        request = edge.FacetRequest(plan.name, MAX_FACET_VALUES, exact=True, filter=filter_of(conditions(plan)))
        return {str(hit.value): hit.count for hit in self._opened().facet(request).hits}

    def _load(self) -> None:
        self._shard = shard_files.load(self._path)
        self._size = shard_files.encoder_of(self._shard).size

    def _opened(self) -> edge.EdgeShard:
        if self._shard is None:
            raise Unavailable("the embedded index is not made yet: start an index worker, which makes it")
        return self._shard

    def _writable(self) -> edge.EdgeShard:
        self._check_space()
        return self._opened()

    def _check_space(self) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < self._min_free:
            raise Unavailable(
                f"the disk of {self._folder} has {free >> 20} MB free and the index must leave "
                f"{self._min_free >> 20} MB: make space, or move LOOKSTREAM_DATA to another disk"
            )


def _point(row: rows.PointRow) -> edge.Point:
    return edge.Point(row.id, {VECTOR: row.vector} if row.vector else {}, row.payload)
