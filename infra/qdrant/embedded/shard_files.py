"""Shards as files: how one is made, read and optimised."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import qdrant_edge as edge

from infra.qdrant import rows
from infra.qdrant.contract import VECTOR
from infra.qdrant.embedded.damage import check_vectors, opening
from infra.qdrant.embedded.filters import index_of
from infra.qdrant.payload_indexes import FIELDS

LOG = "wal"
"""The engine's write-ahead log, in the folder of a shard."""


def make(path: Path, maker: rows.CollectionEncoder) -> None:
    """Makes the shard beside its place and renames it, so that a kill never leaves half of one."""
    fresh = path.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    shard = edge.EdgeShard.create(str(fresh), _config(maker.size))
    shard.update(edge.UpdateOperation.upsert_points([edge.Point(rows.META_ID, {}, rows.meta_payload(maker))]))
    shard.flush()
    shard.close()
    fresh.rename(path)


def load(path: Path) -> edge.EdgeShard:
    """Opens a shard, and makes the payload indexes that it lacks; takes a second for 100,000 points.

    Raises IndexDamaged when its files are not what was written.
    """
    with opening(path.parent):
        shard = _loaded(path)
    return shard


def _loaded(path: Path) -> edge.EdgeShard:
    shard = edge.EdgeShard.load(str(path))
    size = maker_of(shard).size
    everything = edge.QueryRequest(
        limit=1, query=edge.Query.Nearest([1.0] * size, using=VECTOR), params=edge.SearchParams(exact=True)
    )
    shard.query(everything)  # fails where vectors cannot be read
    check_vectors(path, size)
    known = shard.info().payload_schema
    for field in FIELDS:
        if field.name not in known:
            shard.update(edge.UpdateOperation.create_field_index(field.name, index_of(field)))
    return shard


def maker_of(shard: edge.EdgeShard) -> rows.CollectionEncoder:
    """Which encoder made the shard."""
    records = shard.retrieve([rows.META_ID], with_payload=True, with_vector=False)
    if not records:
        raise ValueError("the point that says which encoder made it is missing")
    return rows.encoder_of(records[0].payload or {})


def sync_log(path: Path) -> int:
    """Makes the write-ahead log of a shard survive a power loss; how many bytes of disk it takes.

    Nothing may be written meanwhile. But the engine makes the next part of its log ahead of time, beside its place,
    and renames it: a part that goes away here is empty yet.
    """
    size = 0
    for part in (path / LOG).iterdir():
        with suppress(FileNotFoundError), part.open("rb") as file:
            os.fsync(file)
            size += os.fstat(file.fileno()).st_size
    return size


def optimise(path: Path) -> bool:
    """Builds the graph and the int8 codes of a shard that nobody else has open; whether there was anything to do.

    It holds the GIL for its whole length, half a minute of both cores for 100,000 points, so it belongs into a
    process of its own.
    """
    shard = load(path)
    optimised = shard.optimize()
    shard.flush()
    shard.close()
    return optimised


def _config(size: int) -> edge.EdgeConfig:
    codes = edge.ScalarQuantizationConfig(edge.ScalarType.Int8, memory=edge.Memory.Pinned)
    look = edge.EdgeVectorParams(size, edge.Distance.Dot, quantization_config=codes)
    return edge.EdgeConfig(vectors={VECTOR: look})
