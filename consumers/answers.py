"""Answers: every search request gets one result, on the topic and partition that it asked for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from consumers.worker import Sink
from infra.kafka import Record
from schemas.envelope import CORRELATION_ID, REPLY_PARTITION, REPLY_TO, Event
from schemas.failures import Failure, Unavailable
from schemas.searches import Hit, Likely, SearchRequest, SearchResult, SearchTimes
from schemas.topics import REPLY_TO_PATTERN, SEARCH_RESULTS

ANONYMOUS = "unknown"
"""The request id in an answer to a record that could not even be read so far."""


@dataclass(frozen=True)
class Findings:
    """What a search came to: hits, likely categories, and where it cut; `nearest` is the best score before that."""

    hits: tuple[Hit, ...] = ()
    categories: tuple[Likely, ...] = ()
    threshold: float | None = None
    nearest: float | None = None


class Answers:
    """Sends results back to whoever asked."""

    def __init__(self, sink: Sink, encoder: str) -> None:
        self._sink = sink
        self._encoder = encoder

    def found(self, event: Event, request: SearchRequest, findings: Findings, times: SearchTimes) -> None:
        """The search worked, whether or not anything was found."""
        result = SearchResult(
            request_id=request.request_id,
            status="ok" if findings.hits else "no_match",
            hits=findings.hits,
            categories=findings.categories,
            threshold=findings.threshold,
            message=None if findings.hits else _nothing(findings),
            weights=request.weighting(),
            encoder=self._encoder,
            times=times,
        )
        self._send(result, event.extra)

    def expired(self, event: Event, request: SearchRequest) -> None:
        """The request was taken after its deadline."""
        text = f"the deadline of {request.deadline_ms} ms had passed: ask again, or allow more time"
        self._send(SearchResult(request_id=request.request_id, status="expired", message=text), event.extra)

    def unavailable(self, event: Event, request: SearchRequest, why: Unavailable) -> None:
        """The index is away and the deadline is near."""
        text = str(why)[:500]
        self._send(SearchResult(request_id=request.request_id, status="unavailable", message=text), event.extra)

    def rejected(self, extra: Mapping[str, str], request_id: str, failure: Failure) -> None:
        """The request itself is at fault."""
        message = failure.message[:500]
        result = SearchResult(request_id=request_id, status="rejected", code=failure.code, message=message)
        self._send(result, extra)

    def tell(self, record: Record, event: Event | None, failure: Failure) -> None:
        """A request that could not be read is answered too, if it says who asked."""
        extra = event.extra if event else {n: v.decode("utf-8", "replace") for n, v in record.headers.items() if v}
        asked = extra.get(CORRELATION_ID, ANONYMOUS)
        request_id = asked if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", asked) else ANONYMOUS
        self.rejected(extra, request_id, failure)

    def _send(self, result: SearchResult, extra: Mapping[str, str]) -> None:
        """A reply-to that is not allowed is not followed: the answer goes to the common topic."""
        wanted = extra.get(REPLY_TO, SEARCH_RESULTS)
        topic = wanted if re.fullmatch(REPLY_TO_PATTERN, wanted) else SEARCH_RESULTS
        partition = extra.get(REPLY_PARTITION, "")
        place = int(partition) if re.fullmatch(r"\d{1,4}", partition) else None
        event = Event(result, extra={CORRELATION_ID: result.request_id})
        self._sink.send(topic, result.request_id, event, partition=place)


def _nothing(findings: Findings) -> str:
    """Why there are no hits, and what to do about it."""
    if findings.nearest is None or findings.threshold is None:
        return "nothing in the index satisfies the search"
    return (
        f"nothing here looks like it: the nearest item scores {findings.nearest:.2f}, and unrelated pictures reach "
        f"{findings.threshold:.2f}; ask for best effort (strict: false) to see the nearest all the same"
    )
