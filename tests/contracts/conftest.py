"""Engines for the contract suites: each one real, and started once."""

import time
import uuid
from collections.abc import Iterator
from multiprocessing import get_context

import pytest

from infra.config.qdrant import QdrantSettings
from infra.qdrant.contract import Index
from infra.qdrant.embedded.channel import address_of
from infra.qdrant.embedded.client import EmbeddedIndex
from infra.qdrant.embedded.owner_process import serve
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.server.index import ServerIndex
from schemas.failures import Unavailable
from tests.qdrant_server import in_memory, own_cluster, own_settings, shared_url

pytest.register_assert_rewrite("lookstream.contracts.test_encoders", "lookstream.contracts.test_detectors")

FINGERPRINT, SIZE = "test-encoder", 8
MIN_FREE = 1 << 20
"""Bytes of free disk that the engines under test require."""


@pytest.fixture(scope="session")
def index_memory() -> Iterator[ServerIndex]:
    """The oracle: the class for servers on qdrant-client's own engine in memory."""
    index = ServerIndex(in_memory(), QdrantSettings())
    yield index
    index.close()


@pytest.fixture(scope="session")
def index_server(qdrant_server: str) -> Iterator[ServerIndex]:
    """The index on the server of --qdrant, in a collection of its own."""
    settings = own_settings()
    with own_cluster(settings) as cluster:
        yield ServerIndex(cluster, settings)


@pytest.fixture(scope="session")
def index_shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shard]:
    """The embedded engine in this process."""
    shard = Shard(tmp_path_factory.mktemp("shard"), MIN_FREE)
    yield shard
    shard.close()


@pytest.fixture(scope="session")
def index_embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedIndex]:
    """A client of the embedded engine in a process of its own."""
    folder = tmp_path_factory.mktemp("engine")
    address = address_of(folder)
    process = get_context("spawn").Process(target=serve, args=(folder, address, MIN_FREE), daemon=True)
    process.start()
    client = EmbeddedIndex(address)
    _wait_for(client)
    yield client
    client.close()
    process.terminate()
    process.join()


def _wait_for(client: EmbeddedIndex, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return client.open(FINGERPRINT, SIZE)
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each contract runs on every engine: on a server too when there is --qdrant."""
    if "index" in metafunc.fixturenames:
        engines = ["memory", "shard", "embedded"] + (["server"] if shared_url() else [])
        metafunc.parametrize("index", engines, indirect=True, scope="session")


@pytest.fixture(scope="session")
def index(request: pytest.FixtureRequest) -> Index:
    """Each Index, opened and closed once; tests stay apart by their tenants."""
    index: Index = request.getfixturevalue(f"index_{request.param}")
    index.open(FINGERPRINT, SIZE)
    return index


@pytest.fixture
def index_tenant() -> str:
    """A tenant that no other test writes to."""
    return f"t{uuid.uuid4().hex}"
