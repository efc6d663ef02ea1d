"""An embedded index with a guard of its own: `python -m tests.chaos.engine_server DATA PORT MIN_FREE`."""

import sys
from pathlib import Path

from infra.ports import LOOPBACK
from infra.qdrant.owner import serve
from infra.running import index_key

if __name__ == "__main__":
    data, port, min_free = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    serve(data / "index", (LOOPBACK, port), index_key(data), min_free)
