"""The parts of a gateway, put together."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial

from infra.client.async_search_client import Asking
from infra.config.settings import Settings
from infra.kafka import EventSink, name_client
from infra.local_state import reach_kafka
from infra.metrics import GatewayMetrics
from infra.observability.tracing import tracing
from infra.qdrant.connect import connect
from producers.gateway.app import Doors
from producers.gateway.claims import Claims
from producers.gateway.idempotency import Memory
from producers.gateway.item_reader import Stored
from producers.gateway.item_routes import ItemDoor
from producers.gateway.outcome_waiter import Outcomes
from producers.gateway.read_routes import LookingDoor
from producers.gateway.readiness import check_system
from producers.gateway.recall import Recall
from producers.gateway.request_body import Parser
from producers.gateway.search_registry import HttpResult, SearchDoor, SearchLimits
from producers.gateway.uploads import Uploads


def open_doors(settings: Settings, stack: ExitStack) -> Doors:
    """What the routes need, until the stack is closed; raises Unavailable when Kafka or the index is away."""
    kafka, uploads = name_client(reach_kafka(settings), "gateway"), Uploads()
    metrics = GatewayMetrics()
    spans = stack.enter_context(tracing(settings.traces, "lookstream-gateway"))
    asking = stack.enter_context(closing(Asking(kafka, tracing=spans)))
    sink = stack.enter_context(closing(EventSink(kafka)))
    sink.tracing = spans
    outcomes = stack.enter_context(closing(Outcomes(kafka)))
    index = stack.enter_context(closing(connect(settings)))
    parser, most = stack.enter_context(closing(Parser())), kafka.record_bytes
    claims = stack.enter_context(closing(Claims(kafka)))
    limits, memory = SearchLimits(settings.gateway.in_flight, most), Memory(HttpResult.size)
    searches = SearchDoor(asking, uploads, memory, claims, Recall(kafka), limits, metrics, parser)
    items = ItemDoor(sink, uploads, claims, outcomes, parser, most)
    return Doors(searches, items, LookingDoor(Stored(index), outcomes), metrics, (asking, outcomes, claims))


def system_check(settings: Settings) -> Callable[[], None]:
    """A check that raises Unavailable while something that requests need is away."""
    return partial(check_system, settings)
