"""A Qdrant that refuses: a gRPC server that sends its version, says that every collection exists if that is wanted,
and fails at every other call with a given code."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from qdrant_client import QdrantClient
from qdrant_client import grpc as messages

from infra.local.ports import LOOPBACK
from infra.qdrant.server.nodes import Node

VERSION_CALL = "/qdrant.Qdrant/HealthCheck"
EXISTS_CALL = "/qdrant.Collections/CollectionExists"


@dataclass
class Refusing:
    """The answer of the server, and its calls except those for its version."""

    code: grpc.StatusCode
    details: str
    version: str
    has_collections: bool = False
    port: int = 0
    calls: list[str] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    """The message of each call."""

    def service(self, call: Any) -> Any:
        """The handler of a call, as gRPC asks for it."""
        answer = self._send_version if call.method == VERSION_CALL else self._refuse(call.method)
        if self.has_collections and call.method == EXISTS_CALL:
            answer = self._send_existence
        return grpc.unary_unary_rpc_method_handler(answer)

    def service_name(self) -> str:
        """Part of the interface of a generic handler."""
        return "any"

    def _send_version(self, _request: bytes, _context: Any) -> bytes:
        reply = messages.HealthCheckReply(title="refusing", version=self.version)
        return bytes(reply.SerializeToString())

    def _send_existence(self, _request: bytes, _context: Any) -> bytes:
        reply = messages.CollectionExistsResponse(result=messages.CollectionExists(exists=True))
        return bytes(reply.SerializeToString())

    def _refuse(self, method: str) -> Any:
        def refuse(request: bytes, context: Any) -> None:
            self.calls.append(method)
            self.requests.append(request)
            context.abort(self.code, self.details)

        return refuse


@contextmanager
def refusing(
    code: grpc.StatusCode,
    details: str = "as the test has it",
    version: str = "1.18.3",
    *,
    has_collections: bool = False,
) -> Iterator[Refusing]:
    """Run such a server until the block ends."""
    refuses = Refusing(code, details, version, has_collections)
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((refuses,))
    refuses.port = server.add_insecure_port(f"{LOOPBACK}:0")
    server.start()
    try:
        yield refuses
    finally:
        server.stop(None).wait()


@contextmanager
def node_at(port: int) -> Iterator[Node]:
    """A node of a cluster, which listens at that port or does not."""
    url = f"http://{LOOPBACK}"
    client = QdrantClient(url=url, grpc_port=port, prefer_grpc=True, timeout=5, check_compatibility=False)
    with closing(client):
        yield Node(client, f"{url}:{port}")
