"""Qdrant for tests: the server of --qdrant, with collections of a test's own, or else qdrant-client's engine."""

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager

from qdrant_client import QdrantClient

from infra.qdrant.server_nodes import Cluster, Node, reach_cluster
from infra.settings import Qdrant


def in_memory(client: QdrantClient | None = None) -> Cluster:
    """A cluster of one node: qdrant-client's own engine in this process."""
    return Cluster([Node(client or QdrantClient(":memory:"), "memory:")])


def own_settings(url: str | None) -> Qdrant:
    """Settings with a collection name that no other test has."""
    return Qdrant(url=url, collection=f"test-{uuid.uuid4().hex}")


@contextmanager
def own_cluster(settings: Qdrant) -> Iterator[Cluster]:
    """The server of the settings, or the engine in memory; the collections of that name are removed at the end."""
    with closing(reach_cluster(settings) if settings.url else in_memory()) as cluster:
        try:
            yield cluster
        finally:
            remove_collections(cluster, settings.collection)


def remove_collections(cluster: Cluster, name: str) -> None:
    """Remove the collections of all generations of that name, with their register and their alias."""

    def remove(client: QdrantClient) -> None:
        for one in client.get_collections().collections:
            if one.name == name or one.name.startswith(f"{name}-"):
                client.delete_collection(one.name)

    cluster.ask(remove)
