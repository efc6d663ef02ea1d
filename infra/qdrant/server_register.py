"""The generations of a system whose indexes are on a Qdrant server: one point, in a collection of its own.

Index N is the collection NAME-N; `NAME` is an alias of the one that serves, for whoever looks from outside.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from qdrant_client import QdrantClient

from infra.generations import Generations, chosen, first_alone, parsed, written
from infra.qdrant import stored
from infra.qdrant.server import ServerIndex, reach_server
from infra.qdrant.server_collection import REFUSED, drop, point_alias
from infra.qdrant.server_words import upsert_of
from infra.settings import Settings
from schemas.failures import Unavailable

POINT = str(uuid.uuid5(uuid.NAMESPACE_URL, "lookstream:generations"))
"""The point that says it."""
LOOK_SECONDS = 0.25
AWAY = "Qdrant does not say which index serves: start it, or check LOOKSTREAM_QDRANT_URL"
STALE_SECONDS = 1.5
"""What was read so long ago counts no more: a switch is written down two seconds before it counts."""


@dataclass(frozen=True)
class _Read:
    """What was read, when, and its version."""

    generations: Generations
    version: int
    at: float


class ServerRegister:
    """A Register on a server. `encoder` is whose the first index is. For any number of threads."""

    def __init__(
        self, client: QdrantClient, name: str, encoder: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._name = name
        self._place = f"{name}-generations"
        self._first = first_alone(encoder)
        self._clock = clock
        self._asked = float("-inf")
        self._read: _Read | None = None

    def read(self) -> Generations:
        """As they stand, or stood a moment ago; raises Unavailable when that has not been told for too long."""
        now = self._clock()
        if self._read is None or now - self._asked >= LOOK_SECONDS:
            self._asked = now
            try:
                self._read = self._ask(now)
            except REFUSED:
                if self._read is None or now - self._read.at > STALE_SECONDS:
                    raise Unavailable(AWAY) from None
        return self._read.generations

    def write(self, generations: Generations) -> None:
        """Replace what is written down; raises Unavailable when somebody else has, or the server is away."""
        try:
            before = self._read or self._ask(self._clock())
            if not self._client.collection_exists(self._place):
                self._client.create_collection(self._place, vectors_config={})
            version = before.version + 1
            row = stored.Row(POINT, {"version": version, "generations": written(generations)}, None)
            self._client.batch_update_points(self._place, [upsert_of(version, [row])])
            self._read = self._ask(self._clock())
            if self._read.generations != generations:
                raise Unavailable("another command has changed which indexes there are: look, then run it again")
            point_alias(self._client, self._name, generations.serving.number)
        except REFUSED as error:
            raise Unavailable(f"Qdrant has not taken which index serves ({error}): run the command again") from None

    def forget(self, number: int) -> None:
        """Remove the collection of a generation that is not written down any more."""
        try:
            drop(self._client, self._name, number)
        except REFUSED as error:
            raise Unavailable(f"collection {self._name}-{number} could not be removed: {error}") from None

    def _ask(self, now: float) -> _Read:
        there = self._client.collection_exists(self._place)
        records = self._client.retrieve(self._place, [POINT]) if there else []
        if not records:
            return _Read(self._first, 0, now)
        payload = records[0].payload or {}
        return _Read(parsed(str(payload["generations"])), int(payload["version"]), now)


def open_server(settings: Settings, generation: int | None = None) -> ServerIndex:
    """The index of a generation on the server of the settings, or that which serves; nothing is asked yet."""
    client = reach_server(settings.qdrant)
    register = ServerRegister(client, settings.qdrant.collection, settings.encoder)
    return ServerIndex(client, settings.qdrant, partial(chosen, register, generation))


def open_register(settings: Settings) -> ServerRegister:
    """The register on the server of the settings."""
    return ServerRegister(reach_server(settings.qdrant), settings.qdrant.collection, settings.encoder)
