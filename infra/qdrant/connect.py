"""Which engine it is: the user's Qdrant server if there is one, else the embedded engine of `lookstream up`."""

from infra.qdrant.embedded import EmbeddedIndex
from infra.qdrant.plan import Index
from infra.running import index_key, reach_index
from infra.settings import Settings


def connect(settings: Settings) -> Index:
    """The index that the settings name; it is asked nothing yet. Raises Unavailable when none runs here."""
    if settings.qdrant.url:
        from infra.qdrant.server import open_server  # the embedded engine needs no client library

        return open_server(settings.qdrant)
    return EmbeddedIndex(reach_index(settings), index_key(settings.data), settings.qdrant.timeout_s)
