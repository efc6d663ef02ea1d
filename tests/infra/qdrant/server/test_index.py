"""The errors of an index on a Qdrant server whose collection does not exist yet, or no longer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc import StatusCode
from qdrant_client import QdrantClient

from infra.config.errors import SettingsError
from infra.config.qdrant import QdrantSettings
from infra.config.settings import Settings
from infra.local.health_checks import check_all
from infra.local.ports import LOOPBACK
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
