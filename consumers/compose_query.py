"""Composition of the query worker: one loop, and a job over whichever index serves."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from consumers.answered import Answered, for_whom
from consumers.answers import Answers
from consumers.compose import (
    QUERY_GROUP,
    SEARCH_PATIENCE_SECONDS,
    Outlet,
    attempts_of,
    outlet_of,
    reach,
    room_of,
    sight_of,
)
from consumers.confidence import SOON
from consumers.delivery import AtLeastOnce, Delivery, ExactlyOnce, nothing_to_keep
from consumers.facets import AnswerFacets
from consumers.freshness import Freshness
from consumers.hands import Hands, Job
from consumers.metered import MeteredPulse, MeteredSink, metered, see_results
from consumers.query import AnswerSearches
from consumers.remembered import Remembered
from consumers.requests import AnswerRequests
from consumers.serving import Serving
from consumers.settle import Settler
from consumers.shop import Premises, Shop, confidence_of, furnish, open_premises
from consumers.valve import OpenValve
from consumers.worker import Batches, Sink, Worker
from infra.generations import Generation
from infra.health import Heartbeat
from infra.kafka import EventSink, EventSource, Places, TransactionSink
from infra.metrics import SearchMetrics
from infra.qdrant.connect import generations_of
from infra.secrets import redaction
from infra.settings import Settings
from schemas.topics import SEARCH_REQUESTS


@contextmanager
def query_worker(settings: Settings, heartbeat: Path | None) -> Iterator[Worker]:
    """The worker that takes search requests; closes all that it holds at the end."""
    given = settings.worker
    with ExitStack() as stack:
        kafka = reach(settings)
        source = EventSource(kafka, QUERY_GROUP, [SEARCH_REQUESTS], room=room_of(given))
        stack.callback(source.close)
        premises = open_premises(settings, kafka, "query", stack)
        plain, delivery = _delivery(premises, source, stack)
        sink = MeteredSink(plain, see_results(SearchMetrics(premises.metrics.registry)), premises.metrics)
        outlet, places = outlet_of(premises, sink), Places(kafka)
        tell = Answers(outlet.sink, "", places.exists).tell
        settler = Settler(sink, tell, OpenValve(), premises.slot, redact=redaction(settings), delays={})
        was_done = Answered(partial(for_whom, kafka), round(time.time() * 1000)).has

        def open_job(generation: Generation, held: ExitStack) -> Job:
            shop = furnish(premises, generation, held)
            settler.encoder = shop.encoder
            return replace(_job(shop, places, outlet, held), was_done=was_done)

        register = generations_of(settings)
        serving = stack.enter_context(closing(Serving(lambda: register.read().serving, open_job)))
        job = metered(serving.job(), premises.metrics)
        hands = Hands(job, settler, delivery, attempts_of(premises, "query"))
        batches = Batches(given.search_records, given.search_ms / 1000)
        pulse = MeteredPulse(Heartbeat(heartbeat), source, premises.metrics)
        yield Worker(source, hands, delivery, batches, pulse)


def _job(shop: Shop, places: Places, outlet: Outlet, stack: ExitStack) -> Job:
    answers = Answers(outlet.sink, shop.encoder, places.exists)
    # Searches leave most idle turns, so theirs is the worker that looks at the null pictures, for both.
    confidence = confidence_of(shop, SOON)
    sight = sight_of(shop, SEARCH_PATIENCE_SECONDS, stack)
    sight = replace(sight, look_at=Remembered(sight.look_at).look_at)
    searches = AnswerSearches(sight, shop.index, confidence, answers, shop.settings.worker.search_records)
    freshness = Freshness(shop.index, places.count)
    requests = AnswerRequests(searches, AnswerFacets(shop.index, answers, sight.policy), freshness, answers)
    return Job(
        outlet.watch(requests.handle),
        confidence.idle,
        searches.is_behind,
        hopeless=requests.hopeless,
        refuse=outlet.watch(searches.refuse),
    )


def _delivery(shop: Premises, source: EventSource, stack: ExitStack) -> tuple[Sink, Delivery]:
    if shop.settings.worker.search_delivery == "at_least_once":
        plain = stack.enter_context(closing(EventSink(shop.kafka)))
        return plain, AtLeastOnce(source, plain, nothing_to_keep, 0)
    sink = stack.enter_context(closing(TransactionSink(shop.kafka, f"{QUERY_GROUP}-{shop.slot}")))
    return sink, ExactlyOnce(source, sink)
