"""Which engine it is: the user's Qdrant server if there is one, else the embedded engine of `lookstream up`."""

from functools import partial

from infra.qdrant.embedded import EmbeddedIndex
from infra.qdrant.plan import Index
from infra.running import index_key, reach_index
from infra.settings import Settings


def connect(settings: Settings, generation: int | None = None) -> Index:
    """The index of a generation, or that which serves; it is asked nothing yet.

    Raises Unavailable when none runs here.
    """
    if settings.qdrant.url:
        from infra.qdrant.server import open_server  # the embedded engine needs no client library

        return open_server(settings.qdrant)
    reach_index(settings, generation)  # so that who asks too early hears it now
    where = partial(reach_index, settings, generation)
    return EmbeddedIndex(where, index_key(settings.data), settings.qdrant.timeout_s)
