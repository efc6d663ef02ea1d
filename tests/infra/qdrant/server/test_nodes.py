"""Several nodes of Qdrant: which of them is asked, and what a node must be."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from grpc import StatusCode
from qdrant_client import QdrantClient

from infra.config.errors import SettingsError
from infra.config.qdrant import QdrantSettings
from infra.config.settings import read_settings
from infra.local.ports import find_free_port
from infra.qdrant.server.index import ServerIndex
from infra.qdrant.server.nodes import Cluster, Node, reach_cluster
from schemas.failures import Unavailable
from tests.refusing_qdrant import node_at, refusing

NO_REPLICA = "Service internal error: The replica set for shard 0 on peer 7 has no active replica"


@pytest.fixture
def healthy() -> Iterator[Node]:
    with closing(QdrantClient(":memory:")) as client:
        yield Node(client, "memory:")


def list_collections(client: QdrantClient) -> int:
    return len(client.get_collections().collections)


def test_the_next_node_answers_while_one_is_away(healthy: Node) -> None:
    with node_at(find_free_port(0)) as away:
        assert Cluster([away, healthy]).run(list_collections) == 0
        assert Cluster([healthy, away]).run(list_collections) == 0


@pytest.mark.parametrize("code", [StatusCode.UNAVAILABLE, StatusCode.INTERNAL])
def test_the_node_that_answered_is_asked_from_then_on(healthy: Node, code: StatusCode) -> None:
    with refusing(code, details=NO_REPLICA) as server, node_at(server.port) as sick:
        cluster = Cluster([sick, healthy])
        for _ in range(5):
            assert cluster.run(list_collections) == 0
        assert len(server.calls) == 1


def test_a_node_that_is_too_slow_is_not_asked_again_while_another_answers(healthy: Node) -> None:
    with refusing(StatusCode.DEADLINE_EXCEEDED) as server, node_at(server.port) as slow:
        cluster = Cluster([slow, healthy])
        with pytest.raises(Unavailable, match="does not answer in time"):
            cluster.run(list_collections)
        assert cluster.run(list_collections) == 0
        assert len(server.calls) == 1


def test_a_request_that_is_refused_is_not_made_at_other_nodes() -> None:
    with (
        refusing(StatusCode.INVALID_ARGUMENT) as first,
        refusing(StatusCode.INVALID_ARGUMENT) as second,
        node_at(first.port) as one,
        node_at(second.port) as other,
    ):
        with pytest.raises(ValueError, match="refuses the request"):
            Cluster([one, other]).run(list_collections)
        assert (len(first.calls), len(second.calls)) == (1, 0)


def test_when_all_are_away_each_is_named_with_the_remedy() -> None:
    with (
        node_at(find_free_port(0)) as one,
        node_at(find_free_port(0)) as other,
        pytest.raises(Unavailable) as error,
    ):
        Cluster([one, other]).run(list_collections)
    for words in (one.place, other.place, "UNAVAILABLE", "LOOKSTREAM_QDRANT_URL"):
        assert words in str(error.value)


def test_a_node_that_is_too_old_is_refused_before_its_first_request(healthy: Node) -> None:
    with refusing(StatusCode.UNAVAILABLE, version="1.16.3") as server, node_at(server.port) as old:
        for nodes in ([old], [old, healthy]):
            with pytest.raises(SettingsError, match=r"is version 1\.16\.3, and lookstream needs 1\.17 or newer"):
                Cluster(nodes).run(list_collections)
        with pytest.raises(SettingsError, match="upgrade it"):
            Cluster([healthy, old]).check()
        assert server.calls == []


def test_at_the_start_a_refused_key_is_reported_with_its_setting() -> None:
    with refusing(StatusCode.UNAUTHENTICATED) as server, node_at(server.port) as node:
        index = ServerIndex(Cluster([node]), QdrantSettings())
        with pytest.raises(SettingsError, match="LOOKSTREAM_QDRANT_API_KEY"):
            index.check()


def test_several_urls_are_nodes_and_their_passwords_are_not_printed() -> None:
    settings = QdrantSettings(url="https://user:password@one:6333, https://two:6333/", grpc_port=7_000)
    assert settings.urls == ("https://user:password@one:6333", "https://two:6333/")
    with closing(reach_cluster(settings)) as cluster:
        assert cluster.places == "https://one:7000, https://two:7000"


@pytest.mark.parametrize(
    "url", ["qdrant:6333", "http://", "http://one:6333,two:6333", "http://one?key=secret", "ftp://secret@one"]
)
def test_a_url_that_makes_no_sense_is_refused_without_being_shown(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKSTREAM_QDRANT_URL", url)
    with pytest.raises(SettingsError, match="LOOKSTREAM_QDRANT_URL: each must be like http://host:6333") as error:
        read_settings()
    assert "secret" not in str(error.value)
