"""The errors of an index on a Qdrant server whose collection does not exist yet, or no longer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc import StatusCode
from qdrant_client import QdrantClient
from qdrant_client import grpc as messages

from infra.config.errors import SettingsError
from infra.config.qdrant import QdrantSettings
from infra.config.settings import Settings
from infra.local.health_checks import check_all
from infra.local.ports import LOOPBACK
from infra.qdrant.contract import SearchPlan
from infra.qdrant.server import collections as server_collection
from infra.qdrant.server.index import ServerIndex
from infra.qdrant.server.nodes import Cluster, Node
from schemas.failures import Unavailable
from tests.qdrant_server import own_cluster, own_settings
from tests.refusing_qdrant import node_at, refusing

SIZE = 8

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")


@pytest.fixture
def settings(qdrant_server: str | None) -> QdrantSettings:
    return own_settings()


@pytest.fixture
def cluster(settings: QdrantSettings) -> Iterator[Cluster]:
    with own_cluster(settings) as cluster:
        yield cluster


def test_an_index_whose_worker_has_only_made_the_collection_is_not_there_yet(
    cluster: Cluster, settings: QdrantSettings
) -> None:
    index = ServerIndex(cluster, settings, lambda: 2)
    cluster.run(lambda client: server_collection.ensure(client, settings, 2, SIZE))
    with pytest.raises(Unavailable, match="does not say yet which encoder made it"):
        index.status()
    index.open("an encoder", SIZE)
    assert index.status().fingerprint == "an encoder"


def test_a_worker_waits_for_a_collection_that_does_not_exist_yet() -> None:
    with refusing(StatusCode.NOT_FOUND) as server, node_at(server.port) as node:
        index = ServerIndex(Cluster([node]), QdrantSettings(), lambda: 2)
        with pytest.raises(Unavailable, match="an index worker makes it"):
            index.status()


def test_a_collection_that_vanishes_while_it_is_used_ends_the_work_with_the_remedy() -> None:
    with refusing(StatusCode.NOT_FOUND) as server, node_at(server.port) as empty:
        node = Node(QdrantClient(":memory:"), "memory:")
        index = ServerIndex(Cluster([node]), QdrantSettings(), lambda: 2)
        index.open("an encoder", SIZE)
        node.client.close()
        node.client = empty.client
        with pytest.raises(SettingsError, match=r"LOOKSTREAM_QDRANT_COLLECTION.*restart the workers"):
            index.count()


def test_a_generation_that_is_dropped_while_it_is_used_is_only_not_there_any_more() -> None:
    with refusing(StatusCode.NOT_FOUND) as server, node_at(server.port) as empty:
        node = Node(QdrantClient(":memory:"), "memory:")

        def number() -> int:
            if server.calls:
                raise Unavailable("there is no index 2")
            return 2

        index = ServerIndex(Cluster([node]), QdrantSettings(), number)
        index.open("an encoder", SIZE)
        node.client.close()
        node.client = empty.client
        with pytest.raises(Unavailable, match="there is no index 2"):
            index.count()


def text_search_of(version: str) -> messages.QueryPointGroups:
    """The search that a server of this version gets for a text."""
    with (
        refusing(StatusCode.INVALID_ARGUMENT, version=version, has_collections=True) as server,
        node_at(server.port) as node,
    ):
        index = ServerIndex(Cluster([node]), QdrantSettings())
        with pytest.raises(ValueError, match="refuses the request"):
            index.search([SearchPlan(vector=None, tenant="ana", text="red mug")])
    assert server.calls == ["/qdrant.Points/QueryGroups"]
    request: messages.QueryPointGroups = messages.QueryPointGroups.FromString(server.requests[0])
    return request


def keys_of(conditions: messages.Filter) -> dict[str, messages.Match]:
    return {each.field.key: each.field.match for each in conditions.must}


@pytest.mark.parametrize("version", ["1.20.0", "1.21.3", "2.0.0"])
def test_a_server_that_ranks_texts_gets_the_text_and_the_tenants_statistics(version: str) -> None:
    search = text_search_of(version)
    assert search.query.text.query == "red mug"
    assert search.using == "words"
    assert set(keys_of(search.params.idf.corpus)) == {"tenant"}
    assert set(keys_of(search.filter)) == {"tenant", "state"}


@pytest.mark.parametrize("version", ["1.17.0", "1.18.3", "1.19.9"])
def test_an_older_server_gets_the_text_as_a_condition(version: str) -> None:
    search = text_search_of(version)
    assert not search.HasField("query")
    assert not search.params.HasField("idf")
    assert keys_of(search.filter)["words"].text_any == "red mug"


@pytest.mark.parametrize(
    ("code", "words"),
    [(StatusCode.UNAUTHENTICATED, "LOOKSTREAM_QDRANT_API_KEY"), (StatusCode.DATA_LOSS, "see its log")],
)
def test_health_says_what_the_server_refuses(code: StatusCode, words: str, tmp_path: Path) -> None:
    with refusing(code) as server:
        qdrant = QdrantSettings(url=f"http://{LOOPBACK}", grpc_port=server.port)
        checks = check_all(Settings(data=tmp_path, qdrant=qdrant), 30)
    [(well, says)] = [(check.well, check.says) for check in checks if check.part == "index"]
    assert not well
    assert words in says
