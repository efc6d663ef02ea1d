"""Index connections: open the configured Qdrant server, or else the embedded engine of `lookstream up`."""

from functools import partial

from infra.config.settings import Settings
from infra.local_state import resolve_index_socket
from infra.qdrant.contract import Index
from infra.qdrant.embedded.client import EmbeddedIndex
from infra.qdrant.embedded.damage import IndexDamaged, read_note
from infra.qdrant.generations import FileGenerationRegister, GenerationRegister, index_folder, resolve_generation
from schemas.failures import Unavailable


def connect(settings: Settings, generation: int | None = None) -> Index:
    """Return the index of a generation (default: the serving one), without sending a request to a server yet.

    Raises Unavailable if no embedded index runs here, IndexDamaged if the embedded index could not be opened.
    """
    if settings.qdrant.url:
        from infra.qdrant.server.generation_register import (
            open_server,  # the embedded engine needs no client library
        )

        return open_server(settings, generation)
    try:
        resolve_index_socket(settings, generation)  # fail now if it is not running yet
    except Unavailable:
        if reason := read_note(
            index_folder(settings.data, resolve_generation(connect_register(settings), generation))
        ):
            raise IndexDamaged(reason) from None
        raise
    return EmbeddedIndex(partial(resolve_index_socket, settings, generation), settings.qdrant.timeout_s)


def connect_register(settings: Settings) -> GenerationRegister:
    """Return the register that stores the generations of this system."""
    if settings.qdrant.url:
        from infra.qdrant.server.generation_register import open_register

        return open_register(settings)
    return FileGenerationRegister(settings.data, settings.encoder)


def check_server(settings: Settings) -> None:
    """Check the Qdrant server: raise Unavailable if none answers, SettingsError for an old version or a bad key."""
    from infra.qdrant.server.generation_register import open_server

    server = open_server(settings)
    try:
        server.check()
    finally:
        server.close()
