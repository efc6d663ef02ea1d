"""An embedded index with a guard of its own: `python -m tests.chaos.engine_server DATA SOCKET MIN_FREE`."""

import sys
from pathlib import Path

from infra.qdrant.embedded.children import MODULE
from infra.qdrant.embedded.owner_process import serve


def main(program: str = MODULE) -> None:
    """Serve; the children run `program`."""
    data, socket, min_free = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    serve(data / "index", socket, min_free, program)


if __name__ == "__main__":
    main()
