"""Traces: one trace from the sender of an event to its outcome, exported to an OTLP collector."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from consumers.workers.tracing import TracingSink
from infra.client.reply_router import NoAnswer
from infra.client.search_client import SearchClient
from infra.config.kafka import KafkaSettings
from infra.config.observability import TraceSettings
from infra.kafka import OutgoingRecord, TopicReader
from infra.observability.tracing import CALLER_TRACEPARENT, tracing
from schemas.envelope import TRACEPARENT, Event, from_record
from schemas.failures import Failure
from schemas.items import InlineImage, ItemUpserted
from schemas.outcomes import ItemIndexed, StepTimes
from schemas.results import SearchResult, SearchTimes
from schemas.searches import SearchRequest
from schemas.topics import ITEM_OUTCOMES, SEARCH_REQUESTS, SEARCH_RESULTS
from tests.infra.fetching.picture_host import run_server

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{PARENT}-01"
CAME = datetime(2026, 11, 27, 12, tzinfo=UTC)


@dataclass
class RecordingSink:
    """A sink that records events."""

    events: list[Event] = field(default_factory=list)

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        self.events.append(event)

    def send_record(self, record: OutgoingRecord) -> None:
        """Nothing: these tests have events alone."""

    def flush(self) -> None:
        """Nothing."""


@contextmanager
def collector() -> Iterator[tuple[TraceSettings, list[Span]]]:
    """A collector on loopback; the exported spans are complete once the tracing block has ended."""
    spans: list[Span] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            export = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            spans.extend(one for r in export.resource_spans for s in r.scope_spans for one in s.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with run_server(Collector) as port:
        yield TraceSettings(endpoint=f"http://127.0.0.1:{port}/v1/traces"), spans


def run(cause: Event, outcome: Event, topic: str, share: float = 1.0) -> tuple[list[Span], Event]:
    """The exported spans of an event with an outcome, and the sent outcome."""
    sent = RecordingSink()
    with collector() as (settings, spans):
        settings.share = share
        with tracing(settings, "lookstream-test") as spans_to:
            assert spans_to is not None
            traced = TracingSink(sent, spans_to)

            def handle(_events: Sequence[Event]) -> Mapping[str, Failure]:
                traced.send(topic, "k", outcome)
                return {}

            traced.watch(handle)([cause])
    return spans, sent.events[0]


def item(extra: Mapping[str, str]) -> tuple[Event, Event]:
    image = InlineImage(data=b"x")
    cause = Event(ItemUpserted(item_id="i", revision=1, images=(image,)), id="e-1", time=CAME, extra=extra)
    times = StepTimes(
        event_time=CAME, received_at=CAME + timedelta(milliseconds=40), decoded=30, encoded=70, written=5
    )
    export = ItemIndexed(
        event_id="e-1", tenant="default", item_id="i", source="catalog", revision=1, images=1, times=times
    )
    return cause, Event(export)


def milliseconds(span: Span) -> tuple[int, int]:
    """When it began and ended, after the event."""
    zero = round(CAME.timestamp() * 1e9)
    return round((span.start_time_unix_nano - zero) / 1e6), round((span.end_time_unix_nano - zero) / 1e6)


def test_an_item_is_traced_from_its_event_on_with_every_step_under_its_senders_trace() -> None:
    cause, outcome = item({TRACEPARENT: GIVEN})
    spans, sent = run(cause, outcome, ITEM_OUTCOMES)
    by_name = {span.name: span for span in spans}
    assert by_name.keys() == {"item", "queued", "fetched", "decoded", "encoded", "written"}
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    whole = by_name.pop("item")
    assert whole.parent_span_id.hex() == PARENT
    assert {span.parent_span_id for span in by_name.values()} == {whole.span_id}
    assert {name: milliseconds(span) for name, span in by_name.items()} == {
        "queued": (0, 40), "fetched": (40, 40), "decoded": (40, 70), "encoded": (70, 140), "written": (140, 145)
    }  # fmt: skip
    assert sent.extra[TRACEPARENT] == f"00-{TRACE}-{whole.span_id.hex()}-01"


def test_a_search_without_a_trace_begins_one_that_its_result_carries_on() -> None:
    cause = Event(SearchRequest(request_id="q", item_id="i"), time=CAME, extra={"correlation-id": "q"})
    result = Event(SearchResult(request_id="q", status="no_match", times=SearchTimes(queued=8, searched=4)))
    spans, sent = run(cause, result, SEARCH_RESULTS)
    by_name = {span.name: span for span in spans}
    assert by_name.keys() == {"search", "queued", "fetched", "decoded", "encoded", "searched"}
    assert by_name["search"].parent_span_id == b""
    assert milliseconds(by_name["searched"]) == (8, 12)
    assert by_name["search"].trace_id.hex() in sent.extra[TRACEPARENT]


def test_what_its_sender_does_not_keep_is_not_told() -> None:
    cause, outcome = item({TRACEPARENT: GIVEN.removesuffix("1") + "0"})
    spans, sent = run(cause, outcome, ITEM_OUTCOMES)
    assert spans == []
    assert sent.extra[TRACEPARENT].endswith("-00")


def test_a_share_of_none_tells_nothing_where_the_sender_does_not_say() -> None:
    spans, _ = run(*item({}), ITEM_OUTCOMES, share=0)
    assert spans == []


@pytest.mark.parametrize("broken", ["", "00-1", "x" * 500])
def test_a_broken_trace_header_begins_a_new_trace(broken: str) -> None:
    spans, _ = run(*item({TRACEPARENT: broken}), ITEM_OUTCOMES)
    assert len(spans) == 6
    assert {span.trace_id.hex() for span in spans} != {TRACE}


def test_nothing_is_told_unless_an_endpoint_is_set() -> None:
    with tracing(TraceSettings(), "lookstream-test") as nothing:
        assert nothing is None


def test_an_event_that_is_sent_begins_a_trace_or_goes_on_with_the_one_that_it_has() -> None:
    fresh, _ = item({"correlation-id": "c"})
    given, _ = item({TRACEPARENT: GIVEN})
    with collector() as (settings, spans), tracing(settings, "lookstream-test") as spans_to:
        assert spans_to is not None
        sent = [spans_to.sent(event, "catalog.items") for event in (fresh, given)]
        token = CALLER_TRACEPARENT.set(GIVEN)
        sent.append(spans_to.sent(fresh, "catalog.items"))
        CALLER_TRACEPARENT.reset(token)
    assert [span.name for span in spans] == ["send catalog.items"] * 3
    assert spans[0].parent_span_id == b""
    assert sent[0].extra["correlation-id"] == "c"
    carried = [event.extra[TRACEPARENT].rsplit("-", 1)[0] for event in sent]
    assert carried == [f"00-{span.trace_id.hex()}-{span.span_id.hex()}" for span in spans]
    for span in spans[1:]:
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)


def test_one_trace_leads_from_the_command_to_the_answer(kafka: KafkaSettings) -> None:
    """The sender and the worker export their spans as two processes do."""
    with collector() as (settings, spans):
        with tracing(settings, "lookstream") as ours, SearchClient(kafka, tracing=ours) as client:
            request = SearchRequest(request_id="q", item_id="i", deadline_ms=50)
            reader = TopicReader(kafka, SEARCH_REQUESTS)
            client.send([request])
            with pytest.raises(NoAnswer):
                client.wait("q")
            record = next(record for _ in range(50) if (record := reader.poll(0.2)))
            reader.close()
        token = from_record("q", record.key, record.value, record.headers, record.timestamp_ms)
        with tracing(settings, "lookstream-query") as theirs:
            assert theirs is not None
            traced = TracingSink(RecordingSink(), theirs)
            traced.watch(lambda _events: {})([token])
            traced.send(SEARCH_RESULTS, "q", Event(SearchResult(request_id="q", status="no_match")))
    by_name = {span.name: span for span in spans}
    assert by_name["search"].trace_id == by_name["send search.requests"].trace_id
    assert by_name["search"].parent_span_id == by_name["send search.requests"].span_id
