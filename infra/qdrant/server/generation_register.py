"""The generations of a system whose indexes are on a Qdrant server: one point, in a collection of its own.

Index N is the collection NAME-N; `NAME` is an alias of the one that serves, for whoever looks from outside.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from qdrant_client import QdrantClient, models

from infra.config.settings import QdrantSettings, Settings
from infra.qdrant import rows
from infra.qdrant.generations import Generations, chosen, first_alone, parsed, written
from infra.qdrant.server.collections import drop, point_alias
from infra.qdrant.server.errors import REFUSED
from infra.qdrant.server.filters import upsert_of
from infra.qdrant.server.index import ServerIndex
from infra.qdrant.server.nodes import Cluster, reach_cluster
from schemas.failures import Unavailable

POINT = str(uuid.uuid5(uuid.NAMESPACE_URL, "lookstream:generations"))
"""The point that says it."""
LOOK_SECONDS = 0.25
STALE_SECONDS = 1.5
"""What was read so long ago counts no more: a switch is written down two seconds before it counts."""


@dataclass(frozen=True)
class _CachedRegister:
    """What was read, when, and its version."""

    generations: Generations
    version: int
    at: float


class ServerGenerationRegister:
    """A Register on a server. `encoder` is whose the first index is. For any number of threads."""

    def __init__(
        self, cluster: Cluster, settings: QdrantSettings, encoder: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._name = settings.collection
        self._place = f"{settings.collection}-generations"
        self._first = first_alone(encoder)
        self._clock = clock
        self._asked = float("-inf")
        self._read: _CachedRegister | None = None

    def read(self) -> Generations:
        """As they stand, or stood a moment ago; raises Unavailable when that has not been told for too long."""
        now = self._clock()
        if self._read is None or now - self._asked >= LOOK_SECONDS:
            self._asked = now
            try:
                self._read = self._look(now)
            except Unavailable as error:
                if self._read is None or now - self._read.at > STALE_SECONDS:
                    raise Unavailable(f"{error} (so nobody can say which index serves)") from None
        return self._read.generations

    def write(self, generations: Generations) -> None:
        """Replace what is written down; raises Unavailable when somebody else has, or the server is away."""
        before = self._read or self._look(self._clock())
        version = before.version + 1
        row = rows.PointRow(POINT, {"version": version, "generations": written(generations)}, None)
        try:
            self._cluster.ask(lambda client: self._write(client, version, row))
            self._read = self._look(self._clock())
        except Unavailable as error:
            raise Unavailable(f"which index serves was perhaps not written down: {error}; run it again") from None
        if self._read.generations != generations:
            raise Unavailable("another command has changed which indexes there are: look, then run it again")
        self._cluster.ask(lambda client: point_alias(client, self._name, generations.serving.number))

    def forget(self, number: int) -> None:
        """Remove the collection of a generation that is not written down any more."""
        try:
            self._cluster.ask(lambda client: drop(client, self._name, number))
        except Unavailable as error:
            raise Unavailable(f"collection {self._name}-{number} could not be removed: {error}") from None

    def _write(self, client: QdrantClient, version: int, row: rows.PointRow) -> None:
        if not client.collection_exists(self._place):
            try:
                client.create_collection(self._place, vectors_config={}, replication_factor=self._settings.replicas)
            except (*REFUSED, ValueError):
                if not client.collection_exists(self._place):  # else another command was faster
                    raise
        client.batch_update_points(self._place, [upsert_of(version, [row])], ordering=models.WriteOrdering.STRONG)

    def _look(self, now: float) -> _CachedRegister:
        return self._cluster.ask(lambda client: self._ask(client, now))

    def _ask(self, client: QdrantClient, now: float) -> _CachedRegister:
        there = client.collection_exists(self._place)
        records = client.retrieve(self._place, [POINT]) if there else []
        if not records:
            return _CachedRegister(self._first, 0, now)
        payload = records[0].payload or {}
        return _CachedRegister(parsed(str(payload["generations"])), int(payload["version"]), now)


def open_server(settings: Settings, generation: int | None = None) -> ServerIndex:
    """The index of a generation on the server of the settings, or that which serves; nothing is asked yet."""
    cluster = reach_cluster(settings.qdrant)
    register = ServerGenerationRegister(cluster, settings.qdrant, settings.encoder)
    return ServerIndex(cluster, settings.qdrant, partial(chosen, register, generation))


def open_register(settings: Settings) -> ServerGenerationRegister:
    """The register on the server of the settings."""
    return ServerGenerationRegister(reach_cluster(settings.qdrant), settings.qdrant, settings.encoder)
