"""A process of the embedded index that fails at a request for the sample of certain tenants."""

import sys
import threading
from unittest.mock import patch

from infra.qdrant.contract import Payload
from infra.qdrant.embedded.engine_process import main
from infra.qdrant.embedded.shard import Shard

PANIC, THREAD = "panic", "thread"


class Panic(BaseException):
    """As those of the engine, it is no Exception."""


def sample(_shard: Shard, tenant: str, _limit: int) -> dict[str, Payload]:
    """Break as the tenant says."""
    if tenant == PANIC:
        raise Panic("index out of bounds")
    if tenant == THREAD:
        threading.Timer(0, lambda: [][0]).start()
    return {}


if __name__ == "__main__":
    with patch.object(Shard, "sample", sample):
        main(sys.argv[1:])
