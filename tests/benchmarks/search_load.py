"""Searches over Kafka: at a fixed rate, or at saturation, when each answer triggers the next search."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from infra.client.async_search_client import AsyncSearchClient
from infra.client.reply_router import NoAnswer
from infra.config.kafka import KafkaSettings
from schemas.items import InlineImage
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from tests.benchmarks.fresh_bytes import new

DEADLINE_MS = 5_000
WARM_SEARCHES = 10
CALLERS = 32
"""Searches in flight at saturation: two batches of a query worker."""
FOUND = ("ok", "no_match")


@dataclass(frozen=True)
class SearchLoadResult:
    """The result of a load; percentiles [p50, p95, p99] in milliseconds, of searches with a result."""

    rate: float
    """Searches sent a second; at saturation, searches with a result a second."""
    statuses: dict[str, int]
    """How many answers had which status; `none`: no answer came."""
    whole: list[float]
    """From the time at which a search was due to its answer."""
    beyond: list[float]
    """The same, less decoding and encoding."""

    @property
    def found(self) -> int:
        """The number of searches with a result."""
        return sum(self.statuses.get(status, 0) for status in FOUND)


@dataclass(frozen=True)
class Answer:
    """One answer, and how long it took."""

    status: str
    whole: float = 0.0
    beyond: float = 0.0


def search_at_rate(
    kafka: KafkaSettings, pictures: Sequence[bytes], tenant: str, rate: float, seconds: float
) -> SearchLoadResult:
    """Search at a rate; each search is sent when it is due."""
    return asyncio.run(_steadily(kafka, pictures, tenant, rate, seconds))


def search_at_saturation(
    kafka: KafkaSettings, pictures: Sequence[bytes], tenant: str, seconds: float
) -> SearchLoadResult:
    """Search with CALLERS concurrent callers, each of which sends the next search at its answer."""
    return asyncio.run(_saturating(kafka, pictures, tenant, seconds))


async def _steadily(
    kafka: KafkaSettings, pictures: Sequence[bytes], tenant: str, rate: float, seconds: float
) -> SearchLoadResult:
    turns = cycle(pictures)
    with closing(AsyncSearchClient(kafka)) as search_client:
        await _warm_up(search_client, turns, tenant)
        started, tasks = time.monotonic(), list[asyncio.Task[Answer]]()
        for number in range(max(1, round(rate * seconds))):
            due = started + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.append(asyncio.create_task(_ask(search_client, next(turns), tenant, due)))
        return _summary(rate, await asyncio.gather(*tasks))


async def _saturating(
    kafka: KafkaSettings, pictures: Sequence[bytes], tenant: str, seconds: float
) -> SearchLoadResult:
    turns, answers = cycle(pictures), list[Answer]()
    with closing(AsyncSearchClient(kafka)) as search_client:
        await _warm_up(search_client, turns, tenant)
        started = time.monotonic()

        async def caller() -> None:
            while time.monotonic() < started + seconds:
                answers.append(await _ask(search_client, next(turns), tenant, time.monotonic()))

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        took = time.monotonic() - started
    summary = _summary(0, answers)
    return SearchLoadResult(round(summary.found / took, 2), summary.statuses, summary.whole, summary.beyond)


async def _warm_up(search_client: AsyncSearchClient, turns: Iterator[bytes], tenant: str) -> None:
    for _ in range(WARM_SEARCHES):
        await _ask(search_client, next(turns), tenant, time.monotonic())


async def _ask(search_client: AsyncSearchClient, picture: bytes, tenant: str, due: float) -> Answer:
    request = SearchRequest(
        request_id=uuid.uuid4().hex, tenant=tenant, image=InlineImage(data=new(picture)), deadline_ms=DEADLINE_MS
    )
    try:
        result: SearchResult = await search_client.search(request)
    except NoAnswer:
        return Answer("none")
    whole = (time.monotonic() - due) * 1000
    return Answer(result.status, whole, whole - result.times.decoded - result.times.encoded)


def _summary(rate: float, answers: Sequence[Answer]) -> SearchLoadResult:
    found = [answer for answer in answers if answer.status in FOUND]
    statuses = Counter(answer.status for answer in answers)
    return SearchLoadResult(
        rate, dict(statuses), percentiles([a.whole for a in found]), percentiles([a.beyond for a in found])
    )


def percentiles(milliseconds: Sequence[float]) -> list[float]:
    """The 50th, 95th and 99th percentile; empty without data."""
    return [round(float(p), 1) for p in np.percentile(milliseconds, [50, 95, 99])] if milliseconds else []
