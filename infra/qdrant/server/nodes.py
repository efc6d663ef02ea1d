"""The nodes of a Qdrant cluster: requests go to one of them, and to the others in turn while it is away."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from qdrant_client import QdrantClient

from infra.config.settings import QdrantSettings, SettingsError
from infra.qdrant.server.errors import REFUSED, ErrorMeaning, away, meaning_of, reason_of, translate

OLDEST = (1, 17)
"""The first version of the server with insert-only writes; older ones silently ignore the conditions of writes."""
CHANNEL_OPTIONS = {
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 3_000,
    "grpc.max_reconnect_backoff_ms": 3_000,
}
"""A connection is given up after 3 s, not 20, so that a machine that is off does not hold up requests for long; and
is tried anew after 3 s at most, not 120, so that a server that comes back is found at once."""

T = TypeVar("T")


@dataclass
class Node:
    """A server of a cluster."""

    client: QdrantClient
    place: str
    """Where it is, for sentences: never a password or key."""
    checked: bool = False
    """Whether its version is known to be new enough."""


class Cluster:
    """The nodes of a cluster, or the one server. Safe for several threads.

    Any request may be made again at another node, after the first has done it or half of it: writes to points are
    conditional on their version, and everything else ends in the same state however often it is done.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._current = 0

    @property
    def places(self) -> str:
        """Where the nodes are, for sentences."""
        return ", ".join(node.place for node in self._nodes)

    def ask(self, request: Callable[[QdrantClient], T]) -> T:
        """The answer of the node that answered last, or of the next one that is there.

        Raises Unavailable when none is, or what the error of the server means (see infra.qdrant.server.errors).
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
        raise away(f"no node of Qdrant can do it: {'; '.join(reasons)}")

    def check(self) -> None:
        """Raise SettingsError when a node that answers is too old, Unavailable when none answers."""
        self.ask(lambda _client: None)
        for node in self._nodes:
            try:
                self._check(node)
            except REFUSED:  # checked before its first request
                continue

    def close(self) -> None:
        """Close the connections."""
        for node in self._nodes:
            node.client.close()

    def _check(self, node: Node) -> None:
        if node.checked:
            return
        version = node.client.info().version
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
            needed = ".".join(map(str, OLDEST))
            raise SettingsError(
                f"LOOKSTREAM_QDRANT_URL: Qdrant at {node.place} is version {version}, and lookstream needs "
                f"{needed} or newer: upgrade it"
            )
        node.checked = True


def reach_cluster(settings: QdrantSettings) -> Cluster:
    """The cluster of the settings; nothing is sent before the first request."""
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
