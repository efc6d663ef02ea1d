"""`lookstream` whose retry topics wait for seconds, not minutes, as do hosts that rest. Takes its words."""

from functools import partial
from unittest.mock import patch

from consumers.workers import index_worker
from infra.fetching.circuit_breaker import CircuitBreakers
from lookstream.__main__ import main

DELAYS = {"5s": 2.0, "60s": 6.0, "600s": 12.0}
REST_SECONDS = 1.0


def breakers(rest_s: float = REST_SECONDS, forgiven: float = 1.0) -> CircuitBreakers:
    """Those of the lane of retries, hurried too; for new events as they are."""
    return CircuitBreakers(rest_s=rest_s, forgiven=forgiven)


if __name__ == "__main__":
    hurried = partial(index_worker.index_worker, delays=DELAYS)
    with (
        patch.object(index_worker, "index_worker", hurried),
        patch.object(index_worker, "CircuitBreakers", breakers),
    ):
        main()
