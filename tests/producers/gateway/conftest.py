"""A gateway that listens on loopback, over a real broker."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from infra.client.async_search_client import Asking
from infra.config.settings import Gateway, Kafka
from infra.kafka import EventSink
from infra.local.ports import LOOPBACK
from infra.metrics import GatewayMetrics
from infra.qdrant.embedded.client import EmbeddedIndex
from producers.gateway.app import Doors, gateway_app
from producers.gateway.claims import Claims
from producers.gateway.clients import Clients
from producers.gateway.idempotency import Memory
from producers.gateway.item_reader import Stored
from producers.gateway.item_routes import ItemDoor
from producers.gateway.middleware import GuardSettings
from producers.gateway.outcome_waiter import Outcomes
from producers.gateway.read_routes import LookingDoor
from producers.gateway.recall import Recall
from producers.gateway.request_body import Parser
from producers.gateway.search_registry import HttpResult, SearchDoor, SearchLimits
from producers.gateway.server import Background, server_of
from producers.gateway.uploads import Uploads
from schemas.topics import MAX_RECORD_BYTES
from tests.kafka.brokers import own_kafka

MakeClient = Callable[..., httpx.Client]
SECONDS = 30


@pytest.fixture(scope="module")
def kafka(kafka_server: str | None) -> Iterator[Kafka]:
    """Topics for the tests of a file."""
    with own_kafka() as kafka:
        yield kafka


@pytest.fixture
def make_client(kafka: Kafka) -> Iterator[MakeClient]:
    """Makes clients of gateways with settings of their own; `check` is the gateway's readiness check."""
    with ExitStack() as stack:

        def make(
            check: Callable[[], None] = lambda: None, record_bytes: int = MAX_RECORD_BYTES, **settings: object
        ) -> httpx.Client:
            gateway = Gateway.model_validate({"port": 0, **settings})
            guarded = GuardSettings(gateway, record_bytes)
            doors = stack.enter_context(doors_of(kafka, guarded))
            server = server_of(gateway_app(guarded, doors, check), gateway, Clients(gateway))
            address = stack.enter_context(listening(server))
            return stack.enter_context(httpx.Client(base_url=address, timeout=SECONDS, trust_env=False))

        yield make


@pytest.fixture
def client(make_client: MakeClient) -> httpx.Client:
    """A client of a gateway with the default settings."""
    return make_client()


@contextmanager
def doors_of(kafka: Kafka, guarded: GuardSettings, *background: Background) -> Iterator[Doors]:
    """Doors to the broker, and to an index that is away."""
    away = EmbeddedIndex(Path("nobody listens here"))
    with (
        closing(Asking(kafka)) as asking,
        closing(EventSink(kafka)) as sink,
        closing(Outcomes(kafka)) as outcomes,
        closing(Claims(kafka)) as claims,
        closing(Parser()) as parser,
    ):
        uploads, metrics = Uploads(), GatewayMetrics()
        most, in_flight = guarded.record_bytes, guarded.gateway.in_flight
        items = ItemDoor(sink, uploads, claims, outcomes, parser, most)
        limits, memory = SearchLimits(in_flight, most), Memory(HttpResult.size)
        searches = SearchDoor(asking, uploads, memory, claims, Recall(kafka), limits, metrics, parser)
        yield Doors(
            searches, items, LookingDoor(Stored(away), outcomes), metrics, (asking, outcomes, claims, *background)
        )


@contextmanager
def listening(server: uvicorn.Server) -> Iterator[str]:
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        pause = threading.Event()
        while not server.started:
            assert thread.is_alive(), "the gateway ended at once"
            pause.wait(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://{LOOPBACK}:{port}"
    finally:
        server.should_exit = True
        thread.join()
