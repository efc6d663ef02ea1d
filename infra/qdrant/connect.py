"""Which engine it is: the user's Qdrant server if there is one, else the embedded engine of `lookstream up`."""

from functools import partial

from infra.config.settings import Settings
from infra.local_state import reach_index
from infra.qdrant.contract import Index
from infra.qdrant.embedded.client import EmbeddedIndex
from infra.qdrant.embedded.damage import IndexDamaged, read_note
from infra.qdrant.generations import FileGenerationRegister, GenerationRegister, chosen, index_folder
from schemas.failures import Unavailable


def connect(settings: Settings, generation: int | None = None) -> Index:
    """The index of a generation, or that which serves; of a server nothing is asked yet.

    Raises Unavailable when none runs here, IndexDamaged when it could not be opened.
    """
    if settings.qdrant.url:
        from infra.qdrant.server.generation_register import (
            open_server,  # the embedded engine needs no client library
        )

        return open_server(settings, generation)
    try:
        reach_index(settings, generation)  # so that who asks too early hears it now
    except Unavailable:
        if why := read_note(index_folder(settings.data, chosen(generations_of(settings), generation))):
            raise IndexDamaged(why) from None
        raise
    return EmbeddedIndex(partial(reach_index, settings, generation), settings.qdrant.timeout_s)


def generations_of(settings: Settings) -> GenerationRegister:
    """Where the generations of this system are written down."""
    if settings.qdrant.url:
        from infra.qdrant.server.generation_register import open_register

        return open_register(settings)
    return FileGenerationRegister(settings.data, settings.encoder)


def check_server(settings: Settings) -> None:
    """Raise Unavailable with the remedy unless the user's own Qdrant answers, and is new enough."""
    from infra.qdrant.server.generation_register import open_server

    server = open_server(settings)
    try:
        server.check()
    finally:
        server.close()
