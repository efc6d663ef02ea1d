"""Recall: the answer to a search that another gateway asked, read from the results topic."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import chain

from infra.client.search_client import GRACE_SECONDS, POLL_SECONDS, answer_in
from infra.config.settings import KafkaSettings
from infra.kafka import Record, TopicReader, read_to_end
from producers.gateway.claims import RequestClaim
from schemas.results import SearchResult
from schemas.topics import SEARCH_RESULTS

SKEW_SECONDS = 10.0
"""How far the clocks of gateways and workers may differ: so much earlier the reading begins."""
AT_A_TIME = 8


class AnswerReader:
    """Reads answers; for the tasks of one event loop."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._turn = asyncio.Semaphore(AT_A_TIME)

    async def answer(self, claim: RequestClaim) -> SearchResult | None:
        """The answer to a search, awaited until its deadline and some grace; none when nobody has answered it."""
        async with self._turn:
            return await asyncio.to_thread(self._answer, claim)

    def _answer(self, claim: RequestClaim) -> SearchResult | None:
        since_ms = claim.at_ms - int(SKEW_SECONDS * 1000)
        until = claim.at_ms / 1000 + claim.deadline_ms / 1000 + GRACE_SECONDS
        # The reader first: what comes after this line is read by it, what came before by the other.
        with closing(TopicReader(self._kafka, SEARCH_RESULTS)) as reader:
            earlier = read_to_end(self._kafka, [SEARCH_RESULTS], since_ms)
            for record in chain(earlier, _later(reader, until)):
                found = answer_in(record, {claim.wire_id})
                if isinstance(found, SearchResult):
                    return found
        return None


def _later(reader: TopicReader, until: float) -> Iterator[Record]:
    while time.time() < until:
        if (record := reader.poll(POLL_SECONDS)) is not None:
            yield record
