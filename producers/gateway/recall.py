"""Answer reader: read the result of a search that another gateway sent from the results topic."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import chain

from infra.client.reply_router import GRACE_SECONDS, POLL_SECONDS, matching_answer
from infra.config.kafka import KafkaSettings
from infra.kafka import Record, TopicReader, read_to_end
from producers.gateway.claims import RequestClaim
from schemas.results import SearchResult
from schemas.topics import SEARCH_RESULTS

SKEW_SECONDS = 10.0
"""Largest difference between the clocks of gateways and workers; reading starts this much before the claim."""
MAX_CONCURRENT = 8


class AnswerReader:
    """Reads search results; for the tasks of one event loop."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)

    async def answer(self, claim: RequestClaim) -> SearchResult | None:
        """The result of a claimed search, awaited until its deadline plus GRACE_SECONDS; None if there is none."""
        async with self._slots:
            return await asyncio.to_thread(self._read_answer, claim)

    def _read_answer(self, claim: RequestClaim) -> SearchResult | None:
        since_ms = claim.at_ms - int(SKEW_SECONDS * 1000)
        until = claim.at_ms / 1000 + claim.deadline_ms / 1000 + GRACE_SECONDS
        # Open the reader first: it gets every record from now on, and read_to_end gets the earlier ones.
        with closing(TopicReader(self._kafka, SEARCH_RESULTS)) as reader:
            earlier = read_to_end(self._kafka, [SEARCH_RESULTS], since_ms)
            for record in chain(earlier, _new_records(reader, until)):
                result = matching_answer(record, {claim.wire_id})
                if isinstance(result, SearchResult):
                    return result
        return None


def _new_records(reader: TopicReader, until: float) -> Iterator[Record]:
    while time.time() < until:
        if (record := reader.poll(POLL_SECONDS)) is not None:
            yield record
