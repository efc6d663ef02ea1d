"""A gateway that listens on loopback, over a real broker."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from infra.client.async_search_client import AsyncSearchClient
from infra.config.gateway import GatewaySettings
from infra.config.images import ImageSettings
from infra.config.kafka import KafkaSettings
from infra.fetching.content_store import ContentStore
from infra.kafka import EventSink
from infra.local.ports import LOOPBACK
from infra.metrics import GatewayMetrics
from infra.qdrant.embedded.client import EmbeddedIndex
from producers.gateway.app import GatewayParts, make_gateway_app
from producers.gateway.claims import ClaimRegister
from producers.gateway.clients import ClientAddresses
from producers.gateway.idempotency import IdempotencyCache
from producers.gateway.item_reader import ItemReader
from producers.gateway.item_routes import ItemService
from producers.gateway.middleware import GuardSettings
from producers.gateway.outcome_waiter import OutcomeWaiter
from producers.gateway.read_routes import ReadService
from producers.gateway.recall import AnswerReader
from producers.gateway.request_body import Parser
from producers.gateway.search_registry import HttpResult, SearchLimits, SearchService
from producers.gateway.server import Background, make_server
from producers.gateway.uploads import Uploads
from schemas.topics import MAX_RECORD_BYTES
from tests.kafka.brokers import open_kafka

MakeClient = Callable[..., httpx.Client]
SECONDS = 30


@pytest.fixture(scope="module")
def kafka(kafka_server: str | None) -> Iterator[KafkaSettings]:
    """Topics for the tests of a file."""
    with open_kafka() as kafka:
        yield kafka


@pytest.fixture
def make_client(kafka: KafkaSettings) -> Iterator[MakeClient]:
    """Makes clients of gateways with settings of their own; `check` is the gateway's readiness check."""
    with ExitStack() as stack:

        def make(
            check: Callable[[], None] = lambda: None,
            record_bytes: int = MAX_RECORD_BYTES,
            store: ContentStore | None = None,
            **settings: object,
        ) -> httpx.Client:
            gateway = GatewaySettings.model_validate({"port": 0, **settings})
            guarded = GuardSettings(gateway, record_bytes)
            parts = stack.enter_context(gateway_parts_of(kafka, guarded, store=store))
            server = make_server(make_gateway_app(guarded, parts, check), gateway, ClientAddresses(gateway))
            address = stack.enter_context(serve_in_thread(server))
            return stack.enter_context(httpx.Client(base_url=address, timeout=SECONDS, trust_env=False))

        yield make


@pytest.fixture
def client(make_client: MakeClient) -> httpx.Client:
    """A client of a gateway with the default settings."""
    return make_client()


@contextmanager
def gateway_parts_of(
    kafka: KafkaSettings, guarded: GuardSettings, *background: Background, store: ContentStore | None = None
) -> Iterator[GatewayParts]:
    """The parts of a gateway: clients of the broker, and of an index that does not answer."""
    away = EmbeddedIndex(Path("nobody listens here"))
    with (
        closing(AsyncSearchClient(kafka)) as asking,
        closing(EventSink(kafka)) as sink,
        closing(OutcomeWaiter(kafka)) as outcomes,
        closing(ClaimRegister(kafka)) as claims,
        closing(Parser()) as parser,
        closing(Uploads(ImageSettings())) as uploads,
    ):
        metrics = GatewayMetrics()
        most, in_flight = guarded.record_bytes, guarded.gateway.in_flight
        items = ItemService(sink, uploads, claims, outcomes, parser, most, store)
        limits, memory = SearchLimits(in_flight, most), IdempotencyCache(HttpResult.size)
        searches = SearchService(asking, uploads, memory, claims, AnswerReader(kafka), limits, metrics, parser)
        yield GatewayParts(
            searches,
            items,
            ReadService(ItemReader(away), outcomes),
            metrics,
            (asking, outcomes, claims, *background),
        )


@contextmanager
def serve_in_thread(server: uvicorn.Server) -> Iterator[str]:
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
