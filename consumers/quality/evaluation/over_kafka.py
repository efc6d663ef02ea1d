"""The system over Kafka: a running `lookstream up`, or a cluster, seen as its producers see it."""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from consumers.scoring.calibration import ENOUGH
from infra.client.search_client import SearchClient
from infra.config.settings import KafkaSettings
from infra.kafka import EventSink, TopicReader, check_broker
from producers.ingest import deletions, publish
from schemas.envelope import from_bytes
from schemas.failures import Unavailable
from schemas.items import ItemUpserted, item_key
from schemas.outcomes import ItemIndexed, ItemOutcome, ItemRejected
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import ITEM_OUTCOMES

SILENCE_SECONDS = 120.0
"""How long no outcome may come before the system counts as away; a first batch on a slow machine takes long."""
POLL_SECONDS = 0.2
SETTLE_SECONDS, IDLE_SECONDS = 60.0, 1.0
"""How long the system may take to calibrate a new tenant, and how long it is left alone at a time."""


@dataclass
class KafkaSystem:
    """A System behind Kafka. The items have a tenant of their own, so that nothing of the user's is touched."""

    sink: EventSink
    outcomes: TopicReader
    client: SearchClient
    tenant: str
    put_in: list[str] = field(default_factory=list)
    """Ids of all items that were sent."""

    def put(self, items: Iterable[ItemUpserted]) -> Iterator[ItemOutcome]:
        """Send all items, then wait for the outcome of each."""
        waiting: set[str] = set()
        publish(self._noted(items, waiting), self.sink, lambda _row, _tally: None, lambda: False)
        heard = time.monotonic()
        while waiting:
            outcome = self._next_outcome()
            if outcome is not None and outcome.item_id in waiting:
                heard = time.monotonic()
                waiting.discard(str(outcome.item_id))
                yield outcome
            elif time.monotonic() - heard > SILENCE_SECONDS:
                raise Unavailable(
                    f"{len(waiting)} items have no outcome, and none came for {SILENCE_SECONDS:.0f} s: "
                    "see that an index worker runs (`lookstream up`)"
                )

    def settle(self, probe: SearchRequest) -> None:
        """Leave the query worker idle turns to measure in, until its answers say a threshold, or long enough.

        A catalogue that is too small is never measured.
        """
        if len(self.put_in) < ENOUGH:
            return
        until = time.monotonic() + SETTLE_SECONDS
        while self.client.search(probe).threshold is None and time.monotonic() < until:
            time.sleep(IDLE_SECONDS)

    def ask(self, requests: Iterable[SearchRequest]) -> list[SearchResult]:
        """Several searches are in flight at a time."""
        return self.client.search_all(requests)

    def remove_all(self) -> None:
        """Delete what was put in, without waiting for it to be gone."""
        publish(deletions(self.put_in, self.tenant, "catalog"), self.sink, lambda _row, _tally: None, lambda: False)

    def _noted(self, items: Iterable[ItemUpserted], waiting: set[str]) -> Iterator[ItemUpserted]:
        for item in items:
            self.put_in.append(item.item_id)
            waiting.add(item.item_id)
            yield item

    def _next_outcome(self) -> ItemIndexed | ItemRejected | None:
        record = self.outcomes.poll(POLL_SECONDS)
        if record is None or record.value is None or not (record.key or b"").startswith(self._prefix):
            return None
        body = from_bytes(record.value)
        return body if isinstance(body, ItemIndexed | ItemRejected) else None

    @property
    def _prefix(self) -> bytes:
        return item_key(self.tenant, "").encode()


@contextmanager
def open_over_kafka(kafka: KafkaSettings, tenant: str | None = None) -> Iterator[KafkaSystem]:
    """The system behind these brokers; what was put in is deleted at the end. Raises Unavailable.

    `tenant` is whose the items are; none: a new one of its own.
    """
    check_broker(kafka)
    with ExitStack() as stack:
        sink = EventSink(kafka)
        stack.callback(sink.close)
        outcomes = TopicReader(kafka, ITEM_OUTCOMES)
        stack.callback(outcomes.close)
        whose = tenant or f"evaluate-{int(time.time())}"
        system = KafkaSystem(sink, outcomes, stack.enter_context(SearchClient(kafka)), whose)
        stack.callback(system.remove_all)
        yield system
