"""A control: `lookstream` with an index worker that waits for all pictures of a batch, and tries none again."""

from functools import partial
from unittest.mock import patch

from consumers.workers import index_worker
from infra.config.settings import Images as ImageSettings
from infra.fetching.circuit_breaker import Breakers
from infra.fetching.fetcher import Images
from lookstream import main


def images(settings: ImageSettings, _patience_s: float | None, breakers: Breakers) -> Images:
    """Fetches pictures as long as that may take, from whatever host."""
    del breakers
    return Images(settings, None, breakers=Breakers(after=1_000_000))


if __name__ == "__main__":
    once = partial(index_worker.index_worker, delays={})
    with patch.object(index_worker, "index_worker", once), patch.object(index_worker, "Images", images):
        main()
