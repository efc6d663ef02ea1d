"""A control: `lookstream` whose index worker waits for every picture of a batch, without a deadline or retries."""

from functools import partial
from pathlib import Path
from unittest.mock import patch

from consumers.workers import index_worker
from infra.config.images import ImageSettings
from infra.fetching.circuit_breaker import CircuitBreakers
from infra.fetching.fetcher import ImageFetcher
from lookstream.__main__ import main


def images(
    settings: ImageSettings, _patience_s: float | None, *, breakers: CircuitBreakers, content: Path | None
) -> ImageFetcher:
    """A fetcher without a time limit and without circuit breakers."""
    del breakers
    return ImageFetcher(settings, None, breakers=CircuitBreakers(after=1_000_000), content=content)


if __name__ == "__main__":
    once = partial(index_worker.index_worker, delays={})
    with patch.object(index_worker, "index_worker", once), patch.object(index_worker, "ImageFetcher", images):
        main()
