"""Answers: every search request gets one result, on the topic and partition that it asked for."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from consumers.runtime.ports import Sink
from infra.kafka import OutgoingRecord, Record, record_of_event
from schemas.envelope import CORRELATION_ID, REPLY_PARTITION, REPLY_TO, Event
from schemas.facets import FacetsResult
from schemas.failures import Code, Failure, Unavailable
from schemas.filters import Filters
from schemas.freshness import Watermark
from schemas.results import Hit, Likely, QueryLook, SearchResult, SearchTimes, Swatch
from schemas.searches import SearchRequest
from schemas.topics import REPLY_TO_PATTERN, SEARCH_RESULTS

ANONYMOUS = "unknown"
"""The request id in an answer to a record that could not even be read so far."""


def everywhere(_topic: str, _partition: int | None) -> bool:
    """For sinks that deliver wherever they are told."""
    return True


@dataclass(frozen=True)
class SearchFindings:
    """What a search came to: hits, likely categories, and where it cut; `nearest` is the best score before that;
    `more` tells whether there are hits beyond this page, `added` and `relaxed` what understanding did."""

    hits: tuple[Hit, ...] = ()
    categories: tuple[Likely, ...] = ()
    threshold: float | None = None
    nearest: float | None = None
    surest: float = 0.0
    """The confidence of the nearest."""
    count: int = 0
    """Hits that were found, with those of the pages before."""
    more: bool = False
    palette: tuple[Swatch, ...] = ()
    look: QueryLook | None = None
    """What was looked for, if the request wants to know."""
    added: Filters = field(default_factory=Filters)
    relaxed: Filters = field(default_factory=Filters)


class Requester(Protocol):
    """Whom an answer is for: an event, or what is known of a record that could not be read."""

    @property
    def extra(self) -> Mapping[str, str]:
        """Its headers."""

    @property
    def position(self) -> str:
        """topic/partition/offset of its record."""


@dataclass(frozen=True)
class RecordSender:
    """The sender of a record that could not be read."""

    extra: Mapping[str, str]
    position: str


class ReplyPublisher:
    """Sends results back to whoever asked. `exists` tells whether a topic has a partition (None: any at all)."""

    def __init__(self, sink: Sink, encoder: str, exists: Callable[[str, int | None], bool] = everywhere) -> None:
        self._sink = sink
        self._encoder = encoder
        self._exists = exists
        self.as_of: tuple[Watermark, ...] = ()
        """How far the index has come, to be told with what is found in it."""

    def found(self, event: Event, request: SearchRequest, findings: SearchFindings, times: SearchTimes) -> None:
        """The search worked, whether or not anything was found."""
        result = SearchResult(
            request_id=request.request_id,
            status="ok" if findings.hits else "no_match",
            hits=findings.hits,
            more=findings.more,
            categories=findings.categories,
            crop=request.crop,
            palette=findings.palette,
            added=_unless_empty(findings.added),
            relaxed=_unless_empty(findings.relaxed),
            threshold=findings.threshold,
            message=None if findings.hits else _nothing(findings, request),
            weights=request.weighting(),
            look=findings.look,
            as_of=self.as_of,
            encoder=self._encoder,
            times=times,
        )
        self.send(result, event)

    def expired(self, event: Event, request: SearchRequest) -> None:
        """The request was taken after its deadline."""
        text = f"the deadline of {request.deadline_ms} ms had passed: ask again, or allow more time"
        self.send(SearchResult(request_id=request.request_id, status="expired", message=text), event)

    def unavailable(self, event: Event, request: SearchRequest, why: Unavailable) -> None:
        """The index is away and the deadline is near."""
        text = str(why)[:500]
        self.send(SearchResult(request_id=request.request_id, status="unavailable", message=text), event)

    def rejected(self, asker: Requester, request_id: str, failure: Failure) -> None:
        """The request itself is at fault."""
        message = failure.message[:500]
        result = SearchResult(request_id=request_id, status="rejected", code=failure.code, message=message)
        self.send(result, asker)

    def tell(self, record: Record, event: Event | None, failure: Failure) -> None:
        """A request that could not be read is answered too, if it says who asked."""
        asker = event or RecordSender(texts_of(record), record.position)
        self.rejected(asker, request_id_of(asker.extra), failure)

    def send(self, result: SearchResult | FacetsResult, asker: Requester) -> None:
        """A place that is not allowed, or does not exist, is not followed: the answer goes to the common topic."""
        topic, place = reply_topic(asker.extra), _partition(asker.extra)
        if not self._exists(topic, None):
            topic = SEARCH_RESULTS
        if not self._exists(topic, place):
            place = None  # a record for a partition that is not there is never delivered, and holds up all others
        event = Event(result, extra={CORRELATION_ID: result.request_id}, position=asker.position)
        self._sink.send(topic, result.request_id, event, partition=place)


def short_answer(record: OutgoingRecord, event: Event) -> OutgoingRecord | None:
    """What is sent instead of an answer that Kafka refuses: that it was, on the common topic."""
    if not isinstance(event.body, SearchResult | FacetsResult):
        return None
    text = f"an answer of {record.size:,} bytes was refused by {record.topic}: ask for fewer hits (top_k) or facets"
    body = type(event.body)(
        request_id=event.body.request_id, status="rejected", code=Code.ANSWER_TOO_LARGE, message=text
    )
    return record_of_event(SEARCH_RESULTS, body.request_id, replace(event, body=body))


def texts_of(record: Record) -> dict[str, str]:
    """The headers of a record as text."""
    return {name: value.decode("utf-8", "replace") for name, value in record.headers.items() if value}


def request_id_of(headers: Mapping[str, str]) -> str:
    """Whom the answer to a request is for, by its headers."""
    asked = headers.get(CORRELATION_ID, ANONYMOUS)
    return asked if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", asked) else ANONYMOUS


def reply_topic(headers: Mapping[str, str]) -> str:
    """Where the answer to a request goes, by its headers: the common topic unless another is allowed."""
    wanted = headers.get(REPLY_TO, SEARCH_RESULTS)
    return wanted if re.fullmatch(REPLY_TO_PATTERN, wanted) else SEARCH_RESULTS


def _unless_empty(filters: Filters) -> Filters | None:
    return None if filters == Filters() else filters


def _partition(headers: Mapping[str, str]) -> int | None:
    told = headers.get(REPLY_PARTITION, "")
    return int(told) if re.fullmatch(r"[0-9]{1,4}", told) else None


def _nothing(findings: SearchFindings, request: SearchRequest) -> str:
    """Why there are no hits, and what to do about it."""
    if findings.nearest is not None and findings.surest < request.min_confidence and findings.surest > 0:
        return (
            f"nothing here is as sure as asked: the nearest item has a confidence of {findings.surest:.2f}; "
            f"lower `min_confidence`, which is {request.min_confidence:.2f}, to see it"
        )
    if findings.nearest is None or findings.threshold is None:
        return "nothing in the index satisfies the search"
    return (
        f"nothing here looks like it: the nearest item scores {findings.nearest:.2f}, and unrelated pictures reach "
        f"{findings.threshold:.2f}; ask for best effort (strict: false) to see the nearest all the same"
    )
