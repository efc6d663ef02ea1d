"""Replies: send one result for each request, to the topic and partition that the request names."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from consumers.runtime.ports import Sink
from consumers.searching.query_state import RegionSearch
from infra.kafka import OutgoingRecord, Record, record_of_event
from schemas.envelope import CORRELATION_ID, REPLY_PARTITION, REPLY_TO, Event
from schemas.facets import FacetsResult
from schemas.failures import Code, Failure, Unavailable
from schemas.filters import Filters
from schemas.freshness import Watermark
from schemas.ranking import Weights
from schemas.results import Hit, Likely, QueryLook, RegionResult, SearchResult, SearchTimes, Swatch
from schemas.searches import SearchRequest
from schemas.topics import REPLY_TO_PATTERN, SEARCH_RESULTS
from schemas.words import UnderstoodWord, Variation

UNKNOWN_REQUEST_ID = "unknown"
"""Request id in the reply to a record whose request id cannot be read."""


def region_result(search: RegionSearch, findings: "SearchFindings") -> RegionResult:
    """Return the result of a search by one thing in a picture."""
    return RegionResult(
        box=search.region.box,
        objectness=search.region.objectness,
        hits=findings.hits,
        more=findings.has_more,
        categories=findings.categories,
        coverage=findings.coverage,
        palette=findings.palette,
        threshold=findings.threshold,
    )


def everywhere(_topic: str, _partition: int | None) -> bool:
    """Accept every topic and partition: for sinks that need no check."""
    return True


@dataclass(frozen=True)
class SearchFindings:
    """Outcome of a search: the hits of the page, the likely categories, and the score threshold.

    `best_score` is the best score before the threshold is applied. `has_more` tells whether hits follow this page.
    `inferred_filters` and `relaxed_filters` are the filters that query understanding added and removed.
    """

    hits: tuple[Hit, ...] = ()
    categories: tuple[Likely, ...] = ()
    coverage: float | None = None
    """How likely the collection has things of the query's kind, 0..1; None if it cannot tell."""
    threshold: float | None = None
    best_score: float | None = None
    best_confidence: float = 0.0
    """Confidence of the best score, 0..1."""
    count: int = 0
    """Number of hits, with those of the previous pages."""
    has_more: bool = False
    palette: tuple[Swatch, ...] = ()
    look: QueryLook | None = None
    """The look of the query, if the request asks for it."""
    inferred_filters: Filters = field(default_factory=Filters)
    relaxed_filters: Filters = field(default_factory=Filters)
    weights: Weights | None = None
    """The weights that were used."""
    metric: str | None = None
    """How looks were compared, in words, if the request asks for it."""
    understood: tuple[UnderstoodWord, ...] = ()
    """How each word of the request's text was understood."""
    variations: tuple[Variation, ...] = ()
    """How neighbours of the query's item differ from it, if the request asks for that."""
    regions: tuple[RegionResult, ...] = ()
    """Results for the things in the picture."""


class Requester(Protocol):
    """Recipient of a reply: an event, or the headers and position of a record that could not be read."""

    @property
    def extra(self) -> Mapping[str, str]:
        """Headers of the record, as text."""

    @property
    def position(self) -> str:
        """Position of the record, as topic/partition/offset."""


@dataclass(frozen=True)
class RecordSender:
    """Requester of a record that could not be read."""

    extra: Mapping[str, str]
    position: str


class ReplyPublisher:
    """Sends results to the requesters.

    `partition_exists` takes a topic and a partition and returns whether the topic has it (None: any partition).
    """

    def __init__(
        self, sink: Sink, encoder: str, partition_exists: Callable[[str, int | None], bool] = everywhere
    ) -> None:
        self._sink = sink
        self._encoder = encoder
        self._partition_exists = partition_exists
        self.as_of: tuple[Watermark, ...] = ()
        """Progress of the index, sent with the findings of each search."""

    def update_as_of(self, as_of: tuple[Watermark, ...]) -> None:
        """Set the progress of the index."""
        self.as_of = as_of

    def send_findings(
        self, event: Event, request: SearchRequest, findings: SearchFindings, times: SearchTimes
    ) -> None:
        """Answer a completed search, with or without hits: status `ok` or `no_match`."""
        result = SearchResult(
            request_id=request.request_id,
            status="ok" if findings.hits else "no_match",
            hits=findings.hits,
            more=findings.has_more,
            categories=findings.categories,
            coverage=findings.coverage,
            regions=findings.regions,
            crop=request.crop,
            palette=findings.palette,
            understood=findings.understood,
            variations=findings.variations,
            added=_none_if_empty(findings.inferred_filters),
            relaxed=_none_if_empty(findings.relaxed_filters),
            threshold=findings.threshold,
            message=None if findings.hits else _no_match_message(findings, request),
            weights=(findings.weights or request.weighting()) if request.has_look else None,
            metric=findings.metric,
            look=findings.look,
            as_of=self.as_of,
            encoder=self._encoder,
            times=times,
        )
        self.send(result, event)

    def send_expired(self, event: Event, request: SearchRequest) -> None:
        """Answer a request whose deadline has passed."""
        message = f"the deadline of {request.deadline_ms} ms has passed: ask again, or set a longer deadline"
        self.send(SearchResult(request_id=request.request_id, status="expired", message=message), event)

    def send_unavailable(self, event: Event, request: SearchRequest, error: Unavailable) -> None:
        """Answer a request that cannot be handled before its deadline, as when the index is unreachable."""
        message = str(error)[:500]
        self.send(SearchResult(request_id=request.request_id, status="unavailable", message=message), event)

    def send_rejected(self, requester: Requester, request_id: str, failure: Failure) -> None:
        """Answer a request that is itself the cause of the failure."""
        message = failure.message[:500]
        result = SearchResult(request_id=request_id, status="rejected", code=failure.code, message=message)
        self.send(result, requester)

    def publish_rejection(self, record: Record, event: Event | None, failure: Failure) -> None:
        """Reject a failed request; when it could not be read (no event), its headers name the recipient."""
        requester = event or RecordSender(decode_headers(record), record.position)
        self.send_rejected(requester, request_id_of(requester.extra), failure)

    def send(self, result: SearchResult | FacetsResult, requester: Requester) -> None:
        """Send a result to the requester's reply topic and partition.

        A topic that is not allowed or does not exist is replaced by the common topic; a partition that does not
        exist is ignored.
        """
        topic, partition = reply_topic(requester.extra), _reply_partition(requester.extra)
        if not self._partition_exists(topic, None):
            topic = SEARCH_RESULTS
        if not self._partition_exists(topic, partition):
            partition = (
                None  # a record for a partition that does not exist is never delivered and blocks all others
            )
        event = Event(result, extra={CORRELATION_ID: result.request_id}, position=requester.position)
        self._sink.send(topic, result.request_id, event, partition=partition)


def oversized_reply_rejection(record: OutgoingRecord, event: Event) -> OutgoingRecord | None:
    """Return a short rejection, on the common topic, to send instead of a reply that Kafka refuses as too large.

    None for events that are no replies.
    """
    if not isinstance(event.body, SearchResult | FacetsResult):
        return None
    message = (
        f"an answer of {record.size:,} bytes was refused by {record.topic}: ask for fewer hits (top_k) or facets"
    )
    body = type(event.body)(
        request_id=event.body.request_id, status="rejected", code=Code.ANSWER_TOO_LARGE, message=message
    )
    return record_of_event(SEARCH_RESULTS, body.request_id, replace(event, body=body))


def decode_headers(record: Record) -> dict[str, str]:
    """Return the headers of a record as text; invalid UTF-8 is replaced, and empty headers are left out."""
    return {name: value.decode("utf-8", "replace") for name, value in record.headers.items() if value}


def request_id_of(headers: Mapping[str, str]) -> str:
    """Return the request id in the headers of a request; UNKNOWN_REQUEST_ID if it is missing or invalid."""
    request_id = headers.get(CORRELATION_ID, UNKNOWN_REQUEST_ID)
    return request_id if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", request_id) else UNKNOWN_REQUEST_ID


def reply_topic(headers: Mapping[str, str]) -> str:
    """Return the reply topic in the headers of a request; the common topic if it is missing or not allowed."""
    topic = headers.get(REPLY_TO, SEARCH_RESULTS)
    return topic if re.fullmatch(REPLY_TO_PATTERN, topic) else SEARCH_RESULTS


def _none_if_empty(filters: Filters) -> Filters | None:
    return None if filters == Filters() else filters


def _reply_partition(headers: Mapping[str, str]) -> int | None:
    partition = headers.get(REPLY_PARTITION, "")
    return int(partition) if re.fullmatch(r"[0-9]{1,4}", partition) else None


def _no_match_message(findings: SearchFindings, request: SearchRequest) -> str:
    """Return why there are no hits, and the remedy."""
    score, confidence = findings.best_score, findings.best_confidence
    if score is not None and 0 < confidence < request.min_confidence:
        return (
            f"no item reaches `min_confidence`: the nearest one has a confidence of {confidence:.2f}; "
            f"lower `min_confidence`, which is {request.min_confidence:.2f}, to see it"
        )
    if not request.has_look and not findings.understood:
        return "the text has no word to search by: name a thing, a colour, a brand or a price"
    if findings.understood and all(word.kind == "unknown" for word in findings.understood):
        words = ", ".join(f"`{word.text}`" for word in findings.understood)[:200]
        return (
            f"no word of the text is known here ({words}): use words of the titles, categories, brands or colours"
        )
    if score is None or findings.threshold is None:
        return "nothing in the index satisfies the search"
    return (
        f"no item is similar: the nearest one scores {score:.2f}, and unrelated pictures reach "
        f"{findings.threshold:.2f}; set best effort (strict: false) to see the nearest items"
    )
