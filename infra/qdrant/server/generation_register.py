"""Server generation register: store the generations of a system as one point in a Qdrant collection of its own.

Generation N is in the collection NAME-N; the alias `NAME` points to the serving one, for external users.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from qdrant_client import QdrantClient, models

from infra.config.qdrant import QdrantSettings
from infra.config.settings import Settings
from infra.qdrant import rows
from infra.qdrant.generations import Generations, from_json, initial_generations, resolve_generation, to_json
from infra.qdrant.server.collections import drop, point_alias
from infra.qdrant.server.errors import REFUSED
from infra.qdrant.server.filters import upsert_of
from infra.qdrant.server.index import ServerIndex
from infra.qdrant.server.nodes import Cluster, reach_cluster
from schemas.failures import Unavailable

POINT_ID = str(uuid.uuid5(uuid.NAMESPACE_URL, "lookstream:generations"))
"""Id of the point that stores the generations."""
POLL_SECONDS = 0.25
STALE_SECONDS = 1.5
"""Maximum age of cached generations: a switch is stored two seconds before it takes effect."""


@dataclass(frozen=True)
class _CachedRegister:
    """Cached generations, their stored version, and the time of the read."""

    generations: Generations
    version: int
    read_at: float


class ServerGenerationRegister:
    """A GenerationRegister on a server. `encoder` is the encoder of the first index. Thread-safe."""

    def __init__(
        self, cluster: Cluster, settings: QdrantSettings, encoder: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._name = settings.collection
        self._collection = f"{settings.collection}-generations"
        self._first = initial_generations(encoder)
        self._clock = clock
        self._polled_at = float("-inf")
        self._cached: _CachedRegister | None = None

    def read(self) -> Generations:
        """Return the generations, read at most every POLL_SECONDS; raises Unavailable once they are stale."""
        now = self._clock()
        if self._cached is None or now - self._polled_at >= POLL_SECONDS:
            self._polled_at = now
            try:
                self._cached = self._fetch(now)
            except Unavailable as error:
                if self._cached is None or now - self._cached.read_at > STALE_SECONDS:
                    raise Unavailable(f"{error} (so it is unknown which index serves)") from None
        return self._cached.generations

    def write(self, generations: Generations) -> None:
        """Replace the stored generations; raises Unavailable if another writer was first or no server answers."""
        stored = self._cached or self._fetch(self._clock())
        version = stored.version + 1
        row = rows.PointRow(POINT_ID, {"version": version, "generations": to_json(generations)}, None)
        try:
            self._cluster.run(lambda client: self._write(client, version, row))
            self._cached = self._fetch(self._clock())
        except Unavailable as error:
            raise Unavailable(f"the change of the serving index may not be stored: {error}; run it again") from None
        if self._cached.generations != generations:
            raise Unavailable(
                "another command has changed the indexes: check `lookstream reindex status`, then run it again"
            )
        self._cluster.run(lambda client: point_alias(client, self._name, generations.serving.number))

    def delete_index(self, number: int) -> None:
        """Delete the collection of a generation that is no longer in the register; raises Unavailable."""
        try:
            self._cluster.run(lambda client: drop(client, self._name, number))
        except Unavailable as error:
            raise Unavailable(f"collection {self._name}-{number} could not be removed: {error}") from None

    def _write(self, client: QdrantClient, version: int, row: rows.PointRow) -> None:
        if not client.collection_exists(self._collection):
            try:
                client.create_collection(
                    self._collection, vectors_config={}, replication_factor=self._settings.replicas
                )
            except (*REFUSED, ValueError):
                if not client.collection_exists(self._collection):  # otherwise another command created it first
                    raise
        client.batch_update_points(
            self._collection, [upsert_of(version, [row])], ordering=models.WriteOrdering.STRONG
        )

    def _fetch(self, now: float) -> _CachedRegister:
        return self._cluster.run(lambda client: self._retrieve(client, now))

    def _retrieve(self, client: QdrantClient, now: float) -> _CachedRegister:
        exists = client.collection_exists(self._collection)
        records = client.retrieve(self._collection, [POINT_ID]) if exists else []
        if not records:
            return _CachedRegister(self._first, 0, now)
        payload = records[0].payload or {}
        return _CachedRegister(from_json(str(payload["generations"])), int(payload["version"]), now)


def open_server(settings: Settings, generation: int | None = None) -> ServerIndex:
    """Return the index of a generation (default: the serving one) on the configured server; sends no request."""
    cluster = reach_cluster(settings.qdrant)
    register = ServerGenerationRegister(cluster, settings.qdrant, settings.encoder)
    return ServerIndex(cluster, settings.qdrant, partial(resolve_generation, register, generation))


def open_register(settings: Settings) -> ServerGenerationRegister:
    """Return the generation register on the configured server."""
    return ServerGenerationRegister(reach_cluster(settings.qdrant), settings.qdrant, settings.encoder)
