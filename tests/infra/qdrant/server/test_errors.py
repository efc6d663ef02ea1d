"""The failure for each error code of a Qdrant server, by a real client and a server that refuses."""

import pytest
from grpc import StatusCode
from qdrant_client import QdrantClient

from infra.config.errors import SettingsError
from infra.qdrant.contract import EngineError
from infra.qdrant.server.errors import MEANINGS, CollectionMissing
from infra.qdrant.server.nodes import Cluster
from schemas.failures import Unavailable
from tests.refusing_qdrant import node_at, refusing

EXPECTED: dict[StatusCode, tuple[type[Exception], str]] = {
    StatusCode.CANCELLED: (Unavailable, "cannot be reached"),
    StatusCode.UNKNOWN: (EngineError, "failed at the request"),
    StatusCode.INVALID_ARGUMENT: (ValueError, "refuses the request"),
    StatusCode.DEADLINE_EXCEEDED: (Unavailable, "does not answer in time"),
    StatusCode.NOT_FOUND: (CollectionMissing, "LOOKSTREAM_QDRANT_COLLECTION"),
    StatusCode.ALREADY_EXISTS: (EngineError, "failed at the request"),
    StatusCode.PERMISSION_DENIED: (SettingsError, "LOOKSTREAM_QDRANT_API_KEY"),
    StatusCode.UNAUTHENTICATED: (SettingsError, "LOOKSTREAM_QDRANT_API_KEY"),
    StatusCode.RESOURCE_EXHAUSTED: (Unavailable, "cannot do it now"),
    StatusCode.FAILED_PRECONDITION: (Unavailable, "cannot do it now"),
    StatusCode.ABORTED: (Unavailable, "cannot do it now"),
    StatusCode.OUT_OF_RANGE: (ValueError, "refuses the request"),
    StatusCode.UNIMPLEMENTED: (SettingsError, "LOOKSTREAM_QDRANT_GRPC_PORT"),
    StatusCode.INTERNAL: (EngineError, "failed at the request"),
    StatusCode.UNAVAILABLE: (Unavailable, "start it, or check LOOKSTREAM_QDRANT_URL"),
    StatusCode.DATA_LOSS: (EngineError, "failed at the request"),
}
BETWEEN_NODES = [
    "Service internal error: The replica set for shard 0 on peer 7 has no active replica",
    "Service internal error: 1 of 1 read operations failed:\n  Service internal error: Tonic transport error",
    "Service internal error: Cannot update shard shop-1:0 with Strong ordering because no leader could be selected",
    "Service internal error: error trying to connect: tcp connect error: Connection refused (os error 111)",
    "Service internal error: Failed to propose and confirm metadata update operation through consensus",
    "Service internal error: No space left on device: WAL buffer size exceeds available disk space",
]
FAULTS = [
    "Service internal error: 1 of 1 read operations failed:\n  Service internal error: task 21 panicked",
    "Service internal error: Vector storage is corrupt",
]


def list_collections(client: QdrantClient) -> object:
    return client.get_collections()


def answer_of(code: StatusCode, details: str = "as the test has it") -> Exception:
    """The caller's result when the server fails with that code."""
    kinds = (Unavailable, EngineError, SettingsError, ValueError)
    with refusing(code, details) as server, node_at(server.port) as node, pytest.raises(kinds) as caught:
        Cluster([node]).run(list_collections)
    assert server.calls
    return caught.value


def test_every_code_of_grpc_has_a_meaning_and_a_test() -> None:
    assert set(MEANINGS) == set(StatusCode)
    assert set(EXPECTED) == set(StatusCode) - {StatusCode.OK}


@pytest.mark.parametrize("code", EXPECTED, ids=lambda code: code.name)
def test_a_code_raises_its_exception_with_the_remedy(code: StatusCode) -> None:
    kind, words = EXPECTED[code]
    error = answer_of(code)
    assert type(error) is kind
    assert words in str(error)
    assert "as the test has it" in str(error)


@pytest.mark.parametrize("code", [StatusCode.INTERNAL, StatusCode.UNKNOWN])
@pytest.mark.parametrize("details", BETWEEN_NODES)
def test_trouble_between_nodes_passes(code: StatusCode, details: str) -> None:
    error = answer_of(code, details)
    assert type(error) is Unavailable
    assert "\n" not in str(error)


@pytest.mark.parametrize("details", FAULTS)
def test_a_fault_of_the_server_is_not_waited_for(details: str) -> None:
    assert type(answer_of(StatusCode.INTERNAL, details)) is EngineError


def test_a_message_that_is_too_large_is_the_fault_of_the_request() -> None:
    error = answer_of(StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max (9 vs. 4)")
    assert type(error) is ValueError
