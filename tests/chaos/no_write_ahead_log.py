"""A control: `tests.chaos.engine_writer` without a write-ahead log."""

import sys
from pathlib import Path
from unittest.mock import patch

import qdrant_edge as edge

from infra.qdrant.embedded import shard_files
from tests.chaos.engine_writer import run

with_log = shard_files._config


def without_log(size: int) -> edge.EdgeConfig:
    """The configuration of a shard without its log: writes that are not flushed exist in memory only."""
    config = with_log(size)
    return edge.EdgeConfig(vectors=config.vectors, wal_enabled=False)


if __name__ == "__main__":
    with patch.object(shard_files, "_config", without_log):
        run(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
