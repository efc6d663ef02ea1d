"""Nodes: send requests to one node of a Qdrant cluster, and fail over to the others while it is unreachable."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from qdrant_client import QdrantClient

from infra.config.errors import SettingsError
from infra.config.qdrant import QdrantSettings
from infra.qdrant.server.errors import REFUSED, ErrorMeaning, meaning_of, reason_of, translate, unreachable

MIN_VERSION = (1, 17)
TEXT_RANKING_VERSION = (1, 20)
"""The first version whose text indexes rank points (BM25)."""
"""Minimum server version, the first with insert-only writes; older ones silently ignore write conditions."""
CHANNEL_OPTIONS = {
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 3_000,
    "grpc.max_reconnect_backoff_ms": 3_000,
}
"""A connection attempt times out after 3 s (default 20), so that an unreachable machine does not block requests for
long. Reconnection starts after at most 3 s (default 120), so that a server that returns is found at once."""

T = TypeVar("T")


@dataclass
class Node:
    """A server of a cluster."""

    client: QdrantClient
    place: str
    """Its address for messages, without a password or API key."""
    version: tuple[int, ...] = ()
    """Its version, which is supported; empty before it was checked."""

    def record_version(self, version: tuple[int, ...]) -> None:
        """Record its version, which is supported."""
        self.version = version


class Cluster:
    """The nodes of a cluster, or a single server. Thread-safe.

    Any request may be repeated on another node after the first node has executed it fully or partly: writes to
    points are conditional on their version, and all other requests are idempotent.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._current = 0

    @property
    def places(self) -> str:
        """The addresses of the nodes, for messages."""
        return ", ".join(node.place for node in self._nodes)

    @property
    def ranks_text(self) -> bool:
        """Whether all nodes that were checked rank points by the words of a payload field."""
        return all(node.version >= TEXT_RANKING_VERSION for node in self._nodes if node.version)

    def run(self, request: Callable[[QdrantClient], T]) -> T:
        """Run a request on the node that answered last, or on the next one that is reachable.

        Raises Unavailable if no node is reachable, or the translated server error (infra.qdrant.server.errors).
        """
        first, reasons = self._current, list[str]()
        for number in ((first + step) % len(self._nodes) for step in range(len(self._nodes))):
            node = self._nodes[number]
            try:
                self._check(node)
                answer = request(node.client)
            except REFUSED as error:
                if meaning_of(error) is ErrorMeaning.SLOW:
                    self._current = (number + 1) % len(self._nodes)
                if meaning_of(error) is not ErrorMeaning.AWAY or len(self._nodes) == 1:
                    raise translate(error, node.place) from None
                reasons.append(f"{node.place} ({reason_of(error)})")
            else:
                self._current = number
                return answer
        raise unreachable(f"no node of Qdrant can do it: {'; '.join(reasons)}")

    def check(self) -> None:
        """Raise SettingsError if a node that answers is too old, Unavailable if none answers."""
        self.run(lambda _client: None)
        for node in self._nodes:
            try:
                self._check(node)
            except REFUSED:  # it is checked before its first request
                continue

    def close(self) -> None:
        """Close the connections to all nodes."""
        for node in self._nodes:
            node.client.close()

    def _check(self, node: Node) -> None:
        if node.version:
            return
        version = node.client.info().version
        numbers = tuple(int(part) for part in version.split(".")[:2])
        if numbers < MIN_VERSION:
            required = ".".join(map(str, MIN_VERSION))
            raise SettingsError(
                f"LOOKSTREAM_QDRANT_URL: Qdrant at {node.place} is version {version}, and lookstream needs "
                f"{required} or newer: upgrade it"
            )
        node.record_version(numbers)


def reach_cluster(settings: QdrantSettings) -> Cluster:
    """Return the configured cluster; it connects at the first request."""
    nodes = zip(settings.urls, settings.places, strict=True)
    return Cluster([Node(_client(url, settings), place) for url, place in nodes])


def _client(url: str, settings: QdrantSettings) -> QdrantClient:
    key = settings.api_key.get_secret_value() if settings.api_key else None
    return QdrantClient(
        url=url,
        grpc_port=settings.grpc_port,
        prefer_grpc=True,
        api_key=key,
        timeout=math.ceil(settings.timeout_s),
        grpc_options=dict(CHANNEL_OPTIONS),
        check_compatibility=False,
    )
