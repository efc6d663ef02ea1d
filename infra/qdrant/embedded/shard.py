"""The embedded engine: a qdrant-edge shard in a folder, for one process alone.

The shard is never optimised here: that belongs into a child on a copy, since it holds the GIL for its whole length
(owner.py).
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID

import qdrant_edge as edge

from infra.qdrant import rows
from infra.qdrant.conditions import live_of
from infra.qdrant.contract import (
    MOST_VALUES,
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
from infra.qdrant.embedded.storage import bytes_in, current
from schemas.failures import Unavailable


class Shard:
    """An Index in this process; every call holds the GIL. Not for two threads at once.

    It is the shard of the folder that counts, unless a `path` says which one. `min_free` is how many bytes of disk
    must be free for a write: on a full disk the engine dies by SIGBUS.
    """

    def __init__(self, folder: Path, min_free: int, path: Path | None = None) -> None:
        self._folder = folder
        self._min_free = min_free
        self._path = path or current(folder)
        self._shard: edge.EdgeShard | None = None
        self._size = 0
        if self._path.exists():
            self._load()

    def open(self, fingerprint: str, size: int) -> None:
        """Make the shard for vectors of `size`, or check it; raises EncoderDiffers."""
        mine = rows.CollectionEncoder(fingerprint, size)
        if self._shard is None:
            self._check_space()
            shard_files.make(self._path, mine)
            self._load()
        rows.check_encoder(shard_files.maker_of(self._made()), mine)

    def payloads(self, ids: Sequence[str], keys: Sequence[str]) -> dict[str, Payload]:
        """These payload keys of each point that exists, tombstones included."""
        return rows.payloads_in(self._made().retrieve(list(ids), with_payload=list(keys), with_vector=False))

    def upsert(self, points: Sequence[Point]) -> None:
        """Write the points in their order, those of one version together; raises ValueError on a bad vector."""
        shard = self._writable()
        for version, group in rows.rows_by_version(points, self._size):
            made = [_point(row) for row in group]
            shard.update(edge.UpdateOperation.upsert_points(made, filter_of([rows.older_than(version)])))

    def patch(self, patches: Sequence[Patch]) -> None:
        """Change payloads of live points, in their order; the engine removes keys whose new value is None."""
        shard = self._writable()
        for patch in patches:
            where = filter_of(rows.patched_by(patch), [patch.id])
            shard.update(edge.UpdateOperation.set_payload_by_filter(where, dict(patch.payload)))

    def remove(self, versions: Mapping[str, int]) -> None:
        """Remove the points of these ids, each where its stored version is below."""
        shard = self._writable()
        for version, ids in rows.by_version(versions).items():
            where = filter_of([rows.older_than(version)], ids)
            shard.update(edge.UpdateOperation.delete_points_by_filter(where))

    def collect_tombstones(self, before_us: int) -> int:
        """Remove tombstones that are older than this moment; how many."""
        where = filter_of(rows.tombstones(before_us))
        if there := self._made().count(edge.CountRequest(exact=True, filter=where)):
            self._writable().update(edge.UpdateOperation.delete_points_by_filter(where))
        return there

    def search(self, plans: Sequence[SearchPlan]) -> list[list[ScoredPoint]]:
        """Best first for each plan, live points alone, one for each item."""
        return shard_search.search(self._made(), plans)

    def facets(self, plans: Sequence[FacetPlan]) -> list[dict[str, int]]:
        """For each plan the values that there are, and how many items have them."""
        return [self._facets(plan) for plan in plans]

    def vectors(self, ids: Sequence[str]) -> dict[str, Vector]:
        """The vector of each live point that exists."""
        records = self._made().retrieve(list(ids), with_payload=False, with_vector=[VECTOR])
        return rows.vectors_in(records)

    def same_bytes(self, tenant: str, checksums: Sequence[str]) -> dict[str, Point]:
        """For each `sha256` a live point of the tenant that has it, if one is soon found."""
        where = filter_of(rows.with_bytes(tenant, checksums))
        wanted = edge.ScrollRequest(limit=rows.TWINS, filter=where, with_payload=True, with_vector=[VECTOR])
        return rows.by_checksum(self._made().scroll(wanted)[0])

    def sample(self, tenant: str, limit: int) -> dict[str, Payload]:
        """Up to `limit` live points of a tenant, the first by id: some payload keys of each."""
        wanted = edge.ScrollRequest(
            limit=limit, filter=filter_of(live_of(tenant)), with_payload=rows.SAMPLED, with_vector=False
        )
        return rows.payloads_in(self._made().scroll(wanted)[0])

    def count(self, tenant: str | None = None) -> int:
        """How many live points there are, in all or of one tenant."""
        return self._made().count(edge.CountRequest(exact=True, filter=filter_of(live_of(tenant))))

    def take_note(self, name: str, note: Payload) -> None:
        """Keep a note in the shard, in place of an older one of that name."""
        point = edge.Point(rows.note_id(name), {}, rows.note_payload(note))
        self._writable().update(edge.UpdateOperation.upsert_points([point]))

    def notes(self, names: Sequence[str]) -> dict[str, Payload]:
        """The notes of these names that somebody took."""
        ids: list[int | UUID | str] = [rows.note_id(name) for name in names]
        return rows.notes_in(self._made().retrieve(ids, with_payload=True, with_vector=False), names)

    def status(self) -> IndexStatus:
        """How the shard is."""
        info, maker, live = self._made().info(), shard_files.maker_of(self._made()), self.count()
        unindexed = max(0, live - info.indexed_vectors_count)
        size = bytes_in(self._path)
        return IndexStatus(maker.fingerprint, maker.size, live, unindexed, info.segments_count, size)

    def optimise(self) -> None:
        """Bring all points into the graph, here and now: nothing else runs in this process meanwhile."""
        self._made().optimize()

    def page(self, after: str | None, limit: int) -> tuple[list[Point], str | None]:
        """Up to `limit` points by id, tombstones included, and where to go on."""
        where = filter_of([rows.PICTURES])
        wanted = edge.ScrollRequest(
            offset=after, limit=limit, filter=where, with_payload=True, with_vector=[VECTOR]
        )
        records, following = self._made().scroll(wanted)
        return rows.points_in(records), None if following is None else str(following)

    def flush(self) -> None:
        """Make what was written survive a power loss; a killed process loses nothing even without it.

        It also empties the log, and holds the GIL: 40 to 200 ms for 10,000 points.
        """
        if self._shard is not None:
            self._shard.flush()

    def sync(self) -> int:
        """The same by the log alone, which is replayed when the shard is loaded; the bytes of the log.

        It lets go of the GIL, but nothing may be written meanwhile.
        """
        return 0 if self._shard is None else shard_files.sync_log(self._path)

    def close(self) -> None:
        """Flush and let go of the folder."""
        if self._shard is not None:
            self._shard.flush()
            self._shard.close()
            self._shard = None

    def _facets(self, plan: FacetPlan) -> dict[str, int]:
        wanted = edge.FacetRequest(plan.name, MOST_VALUES, exact=True, filter=filter_of(conditions(plan)))
        return {str(hit.value): hit.count for hit in self._made().facet(wanted).hits}

    def _load(self) -> None:
        self._shard = shard_files.load(self._path)
        self._size = shard_files.maker_of(self._shard).size

    def _made(self) -> edge.EdgeShard:
        if self._shard is None:
            raise Unavailable("the embedded index is not made yet: start an index worker, which makes it")
        return self._shard

    def _writable(self) -> edge.EdgeShard:
        self._check_space()
        return self._made()

    def _check_space(self) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < self._min_free:
            raise Unavailable(
                f"the disk of {self._folder} has {free >> 20} MB free and the index must leave "
                f"{self._min_free >> 20} MB: make space, or move LOOKSTREAM_DATA to another disk"
            )


def _point(row: rows.PointRow) -> edge.Point:
    return edge.Point(row.id, {VECTOR: row.vector} if row.vector else {}, row.payload)
