"""Gateway composition: open the connections of a gateway and build its services."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial

from infra.client.async_search_client import AsyncSearchClient
from infra.config.settings import Settings
from infra.fetching.content_store import open_content_store
from infra.kafka import EventSink, name_client
from infra.local_state import resolve_kafka_settings
from infra.metrics import GatewayMetrics
from infra.observability.tracing import tracing
from infra.qdrant.connect import connect
from producers.gateway.app import GatewayParts
from producers.gateway.claims import ClaimRegister
from producers.gateway.idempotency import IdempotencyCache
from producers.gateway.item_reader import ItemReader
from producers.gateway.item_routes import ItemService
from producers.gateway.outcome_waiter import OutcomeWaiter
from producers.gateway.read_routes import ReadService
from producers.gateway.readiness import check_system
from producers.gateway.recall import AnswerReader
from producers.gateway.request_body import Parser
from producers.gateway.search_registry import HttpResult, SearchLimits, SearchService
from producers.gateway.uploads import Uploads

RARE_FETCH_WAIT_MS = 100
"""Fetch wait of the readers of outcomes and of claims, for which few requests wait: at rest, most of what the local
broker does is to answer fetches."""


def open_gateway_parts(settings: Settings, stack: ExitStack) -> GatewayParts:
    """Open the services of the routes until the stack is closed; raises Unavailable if Kafka or the index is."""
    kafka = name_client(resolve_kafka_settings(settings), "gateway")
    uploads = stack.enter_context(closing(Uploads(settings.images)))
    metrics = GatewayMetrics()
    spans = stack.enter_context(tracing(settings.traces, "lookstream-gateway"))
    client = stack.enter_context(closing(AsyncSearchClient(kafka, tracing=spans)))
    sink = stack.enter_context(closing(EventSink(kafka, tracing=spans)))
    rare = kafka.with_fetch_wait(RARE_FETCH_WAIT_MS)
    outcomes = stack.enter_context(closing(OutcomeWaiter(rare)))
    index = stack.enter_context(closing(connect(settings)))
    parser, max_bytes = stack.enter_context(closing(Parser())), kafka.record_bytes
    claims = stack.enter_context(closing(ClaimRegister(rare)))
    limits, cache = SearchLimits(settings.gateway.in_flight, max_bytes), IdempotencyCache(HttpResult.size)
    searches = SearchService(client, uploads, cache, claims, AnswerReader(kafka), limits, metrics, parser)
    items = ItemService(sink, uploads, claims, outcomes, parser, max_bytes, open_content_store(settings))
    return GatewayParts(
        searches, items, ReadService(ItemReader(index), outcomes), metrics, (client, outcomes, claims)
    )


def system_check(settings: Settings) -> Callable[[], None]:
    """A check that raises Unavailable while a dependency of the requests is unavailable."""
    return partial(check_system, settings)
