"""Searches over Kafka: so many a second, whether or not those before are answered; or as many as are answered."""

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
"""Searches on their way at a time, at saturation: two batches of a query worker."""
FOUND = ("ok", "no_match")


@dataclass(frozen=True)
class Asked:
    """What became of searches; percentiles [p50, p95, p99] in milliseconds, of those that were looked for."""

    rate: float
    """Searches a second that were asked, or at saturation those that were looked for."""
    statuses: dict[str, int]
    """How many answers had which status; `none`: no answer came."""
    whole: list[float]
    """From the moment at which a search was due to its answer."""
    beyond: list[float]
    """The same without decoding and encoding."""

    @property
    def found(self) -> int:
        """How many were looked for."""
        return sum(self.statuses.get(status, 0) for status in FOUND)


@dataclass(frozen=True)
class Answer:
    """One answer, and how long it took."""

    status: str
    whole: float = 0.0
    beyond: float = 0.0


def ask_steadily(
    kafka: KafkaSettings, pictures: Sequence[bytes], tenant: str, rate: float, seconds: float
) -> Asked:
    """Searches at a rate, each sent when it is due."""
    return asyncio.run(_steadily(kafka, pictures, tenant, rate, seconds))


def saturate(kafka: KafkaSettings, pictures: Sequence[bytes], tenant: str, seconds: float) -> Asked:
    """Searches by CALLERS, each of whom asks again as soon as an answer has come."""
    return asyncio.run(_saturating(kafka, pictures, tenant, seconds))


async def _steadily(
    kafka: KafkaSettings, pictures: Sequence[bytes], tenant: str, rate: float, seconds: float
) -> Asked:
    shown = cycle(pictures)
    with closing(AsyncSearchClient(kafka)) as asking:
        await _warm_up(asking, shown, tenant)
        started, tasks = time.monotonic(), list[asyncio.Task[Answer]]()
        for number in range(max(1, round(rate * seconds))):
            due = started + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.append(asyncio.create_task(_ask(asking, next(shown), tenant, due)))
        return _summary(rate, await asyncio.gather(*tasks))


async def _saturating(kafka: KafkaSettings, pictures: Sequence[bytes], tenant: str, seconds: float) -> Asked:
    shown, answers = cycle(pictures), list[Answer]()
    with closing(AsyncSearchClient(kafka)) as asking:
        await _warm_up(asking, shown, tenant)
        started = time.monotonic()

        async def caller() -> None:
            while time.monotonic() < started + seconds:
                answers.append(await _ask(asking, next(shown), tenant, time.monotonic()))

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        took = time.monotonic() - started
    asked = _summary(0, answers)
    return Asked(round(asked.found / took, 2), asked.statuses, asked.whole, asked.beyond)


async def _warm_up(asking: AsyncSearchClient, shown: Iterator[bytes], tenant: str) -> None:
    for _ in range(WARM_SEARCHES):
        await _ask(asking, next(shown), tenant, time.monotonic())


async def _ask(asking: AsyncSearchClient, picture: bytes, tenant: str, due: float) -> Answer:
    request = SearchRequest(
        request_id=uuid.uuid4().hex, tenant=tenant, image=InlineImage(data=new(picture)), deadline_ms=DEADLINE_MS
    )
    try:
        result: SearchResult = await asking.search(request)
    except NoAnswer:
        return Answer("none")
    whole = (time.monotonic() - due) * 1000
    return Answer(result.status, whole, whole - result.times.decoded - result.times.encoded)


def _summary(rate: float, answers: Sequence[Answer]) -> Asked:
    found = [answer for answer in answers if answer.status in FOUND]
    statuses = Counter(answer.status for answer in answers)
    return Asked(
        rate, dict(statuses), percentiles([a.whole for a in found]), percentiles([a.beyond for a in found])
    )


def percentiles(milliseconds: Sequence[float]) -> list[float]:
    """The 50th, 95th and 99th; none of nothing."""
    return [round(float(p), 1) for p in np.percentile(milliseconds, [50, 95, 99])] if milliseconds else []
