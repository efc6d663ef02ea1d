"""The register of the serving index on a Qdrant server: that of --qdrant, or else qdrant-client's own engine."""

from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest
from qdrant_client import QdrantClient, models

from infra.config.qdrant import QdrantSettings
from infra.local.ports import find_free_port
from infra.qdrant.generations import FIRST, Generation, resolve_generation
from infra.qdrant.server.collections import name_of
from infra.qdrant.server.generation_register import ServerGenerationRegister
from infra.qdrant.server.index import ServerIndex
from infra.qdrant.server.nodes import Cluster, Node
from schemas.failures import Unavailable
from tests.qdrant_server import own_cluster, own_settings

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]


@pytest.fixture
def settings(qdrant_server: str | None) -> QdrantSettings:
    return own_settings()


@pytest.fixture
def cluster(settings: QdrantSettings) -> Iterator[Cluster]:
    with own_cluster(settings) as cluster:
        yield cluster


class Clock:
    """A time of ours."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_written_down_is_read_by_others_a_moment_later(cluster: Cluster, settings: QdrantSettings) -> None:
    clock = Clock()
    ours, theirs = (ServerGenerationRegister(cluster, settings, encoder, clock) for encoder in ("best", "another"))
    assert theirs.read().serving == Generation(FIRST, "another")
    ours.write(ours.read().with_new("fast"))
    assert ours.read().other == Generation(2, "fast")
    assert theirs.read().other is None
    clock.now = 0.3
    assert theirs.read() == ours.read()
    assert theirs.read().serving == Generation(FIRST, "best")


def test_of_two_concurrent_writers_one_gets_an_error(cluster: Cluster, settings: QdrantSettings) -> None:
    clock = Clock()
    ours, theirs = (ServerGenerationRegister(cluster, settings, "best", clock) for _ in range(2))
    before = ours.read(), theirs.read()
    ours.write(before[0].with_new("fast"))
    with pytest.raises(Unavailable, match="another command has changed"):
        theirs.write(before[1].with_new("balanced"))
    assert ours.read().other == Generation(2, "fast")


def test_a_short_outage_of_the_server_changes_nothing_and_a_longer_one_is_reported(
    settings: QdrantSettings,
) -> None:
    clock = Clock()
    node = Node(QdrantClient(":memory:"), "memory:")
    register = ServerGenerationRegister(Cluster([node]), settings, "best", clock)
    register.write(register.read().with_new("fast"))
    with closing(node.client), closing(client_of_nothing()) as node.client:
        clock.now = 1.0
        assert register.read().other == Generation(2, "fast")
        clock.now = 2.0
        with pytest.raises(Unavailable, match=r"LOOKSTREAM_QDRANT_URL.*which index serves"):
            register.read()


def test_each_index_has_a_collection_and_a_dropped_one_is_reached_no_more(
    cluster: Cluster, settings: QdrantSettings
) -> None:
    clock = Clock()
    register = ServerGenerationRegister(cluster, settings, "best", clock)
    first, second, run_server = (
        ServerIndex(cluster, settings, partial(resolve_generation, register, n)) for n in (1, 2, None)
    )
    first.open("a:1", 4)
    register.write(register.read().with_new("fast"))
    second.open("b:1", 8)
    assert [index.status().fingerprint for index in (first, second, run_server)] == ["a:1", "b:1", "a:1"]
    register.write(register.read().with_switch(0.0))
    assert run_server.status().fingerprint == "b:1"
    assert alias_of(cluster, settings) == f"{settings.collection}-2"
    register.write(register.read().serving_only())
    register.delete_index(1)
    assert not cluster.run(lambda client: client.collection_exists(f"{settings.collection}-1"))
    with pytest.raises(Unavailable, match="there is no index 1"):
        first.count()
    assert second.count() == 0


def test_a_collection_of_the_name_itself_stays_the_first_and_is_never_given_an_alias(
    cluster: Cluster, settings: QdrantSettings
) -> None:
    look = {"look": models.VectorParams(size=4, distance=models.Distance.DOT)}
    cluster.run(lambda client: client.create_collection(settings.collection, vectors_config=look))
    register = ServerGenerationRegister(cluster, settings, "best", Clock())
    ServerIndex(cluster, settings).open("a:1", 4)
    assert cluster.run(lambda client: name_of(client, settings.collection, 1)) == settings.collection
    register.write(register.read().with_new("fast"))
    ServerIndex(cluster, settings, lambda: 2).open("b:1", 4)
    register.write(register.read().with_switch(0.0))
    assert alias_of(cluster, settings) is None


def alias_of(cluster: Cluster, settings: QdrantSettings) -> str | None:
    """The collection that the alias leads to."""
    aliases = cluster.run(lambda client: client.get_aliases()).aliases
    return {alias.alias_name: alias.collection_name for alias in aliases}.get(settings.collection)


def client_of_nothing() -> QdrantClient:
    """A client of a port without a listener."""
    return QdrantClient(
        url="http://127.0.0.1", grpc_port=find_free_port(0), prefer_grpc=True, check_compatibility=False
    )
