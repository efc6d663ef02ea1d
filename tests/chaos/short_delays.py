"""`lookstream` with retry delays and pauses of picture hosts of seconds, not minutes. Same arguments."""

from functools import partial
from unittest.mock import patch

from consumers.workers import index_worker
from infra.fetching.circuit_breaker import CircuitBreakers
from lookstream.__main__ import main

DELAYS = {"5s": 2.0, "60s": 6.0, "600s": 12.0}
REST_SECONDS = 1.0


def breakers(rest_s: float = REST_SECONDS, forgiven: float = 1.0) -> CircuitBreakers:
    """Circuit breakers with short pauses for the lane of retries; the lane of new events passes its own values."""
    return CircuitBreakers(rest_s=rest_s, forgiven=forgiven)


if __name__ == "__main__":
    short_delays = partial(index_worker.index_worker, delays=DELAYS)
    with (
        patch.object(index_worker, "index_worker", short_delays),
        patch.object(index_worker, "CircuitBreakers", breakers),
    ):
        main()
