"""Shard files: create, load, sync and optimise a qdrant-edge shard on disk."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import qdrant_edge as edge

from infra.qdrant import rows
from infra.qdrant.contract import VECTOR
from infra.qdrant.embedded.damage import check_vectors, translate_open_errors
from infra.qdrant.embedded.filters import index_of
from infra.qdrant.payload_indexes import FIELDS

LOG = "wal"
"""Subfolder of a shard with the engine's write-ahead log."""


def make(path: Path, encoder: rows.CollectionEncoder) -> None:
    """Create a shard under a temporary name and rename it, so that a kill never leaves a partial shard."""
    draft = path.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    shard = edge.EdgeShard.create(str(draft), _config(encoder.size))
    shard.update(edge.UpdateOperation.upsert_points([edge.Point(rows.META_ID, {}, rows.meta_payload(encoder))]))
    shard.flush()
    shard.close()
    draft.rename(path)


def load(path: Path) -> edge.EdgeShard:
    """Open a shard, and create missing payload indexes; takes one second for 100,000 points.

    Raises IndexDamaged if its files are corrupt.
    """
    with translate_open_errors(path.parent):
        shard = _load_and_check(path)
    return shard


def _load_and_check(path: Path) -> edge.EdgeShard:
    shard = edge.EdgeShard.load(str(path))
    size = encoder_of(shard).size
    request = edge.QueryRequest(
        limit=1, query=edge.Query.Nearest([1.0] * size, using=VECTOR), params=edge.SearchParams(exact=True)
    )
    shard.query(request)  # an exact search, which fails if vectors cannot be read
    check_vectors(path, size)
    indexed = shard.info().payload_schema
    for field in FIELDS:
        if field.name not in indexed:
            shard.update(edge.UpdateOperation.create_field_index(field.name, index_of(field)))
    return shard


def encoder_of(shard: edge.EdgeShard) -> rows.CollectionEncoder:
    """Return the encoder that made the shard; raises ValueError if its metadata point is missing."""
    records = shard.retrieve([rows.META_ID], with_payload=True, with_vector=False)
    if not records:
        raise ValueError("the point that says which encoder made it is missing")
    return rows.encoder_from_payload(records[0].payload or {})


def sync_log(path: Path) -> int:
    """Make the write-ahead log of a shard durable against power loss; return its size on disk in bytes.

    No write may run at the same time. The engine creates the next segment of its log in advance and renames it
    later, so a segment that disappears here is still empty.
    """
    size = 0
    for segment in (path / LOG).iterdir():
        with suppress(FileNotFoundError), segment.open("rb") as file:
            os.fsync(file)
            size += os.fstat(file.fileno()).st_size
    return size


def optimise(path: Path) -> bool:
    """Build the graph and the int8 codes of a shard that no other process has open; return False for nothing to do.

    It holds the GIL for its whole duration, half a minute on both cores for 100,000 points, so it needs a process
    of its own.
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
