"""Kafka system: evaluates a running `lookstream up`, or a cluster, through its Kafka topics only."""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from consumers.scoring.calibration import MIN_POINTS
from infra.client.search_client import SearchClient
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, TopicReader, check_broker
from producers.ingest.publish import deletions, publish
from schemas.envelope import from_bytes
from schemas.failures import Unavailable
from schemas.items import ItemUpserted, item_key
from schemas.outcomes import ItemIndexed, ItemOutcome, ItemRejected
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import ITEM_OUTCOMES

SILENCE_SECONDS = 120.0
"""Seconds without an outcome after which the system is unavailable; a first batch on a slow machine takes long."""
POLL_SECONDS = 0.2
CALIBRATION_SECONDS, IDLE_SECONDS = 60.0, 1.0
"""The time limit for the calibration of a new tenant, and the pause between two checks of it, which keeps the
worker idle."""


@dataclass
class KafkaSystem:
    """A SystemUnderTest behind Kafka. The items have a separate tenant, so that no data of the user is changed."""

    sink: EventSink
    outcomes: TopicReader
    client: SearchClient
    tenant: str
    put_in: list[str] = field(default_factory=list)
    """Ids of all items that were sent and are to be deleted at the end."""
    others: "list[KafkaSystem]" = field(default_factory=list)
    """The same system for other tenants, whose items are to be deleted too."""

    def for_tenant(self, name: str) -> "KafkaSystem":
        """The same system for another tenant, whose items are deleted with those of this one."""
        other = replace(self, tenant=f"{self.tenant}-{name}", put_in=[], others=[])
        self.others.append(other)
        return other

    def put(self, items: Iterable[ItemUpserted]) -> Iterator[ItemOutcome]:
        """Send all items, then wait for every outcome. Raises Unavailable after SILENCE_SECONDS without one."""
        pending: set[str] = set()
        publish(self._record_ids(items, pending), self.sink, lambda _row, _tally: None, lambda: False)
        last_outcome_at = time.monotonic()
        while pending:
            outcome = self._next_outcome()
            if outcome is not None and outcome.item_id in pending:
                last_outcome_at = time.monotonic()
                pending.discard(str(outcome.item_id))
                yield outcome
            elif time.monotonic() - last_outcome_at > SILENCE_SECONDS:
                raise Unavailable(
                    f"{len(pending)} items have no outcome, and none came for {SILENCE_SECONDS:.0f} s: "
                    "see that an index worker runs (`lookstream up`)"
                )

    def calibrate(self, probe: SearchRequest) -> None:
        """Wait until results have a threshold, at most CALIBRATION_SECONDS; the idle worker calibrates meanwhile.

        A catalogue with fewer than ENOUGH items is never calibrated, so this returns at once.
        """
        if len(self.put_in) < MIN_POINTS:
            return
        deadline = time.monotonic() + CALIBRATION_SECONDS
        while self.client.search(probe).threshold is None and time.monotonic() < deadline:
            time.sleep(IDLE_SECONDS)

    def search(self, requests: Iterable[SearchRequest]) -> list[SearchResult]:
        """The search results, in the order of the requests; several searches are in flight at a time."""
        return self.client.search_all(requests)

    def remove_all(self) -> None:
        """Send deletions of all items in `put_in`, without waiting for their outcomes."""
        for other in self.others:
            other.remove_all()
        publish(deletions(self.put_in, self.tenant, "catalog"), self.sink, lambda _row, _tally: None, lambda: False)

    def _record_ids(self, items: Iterable[ItemUpserted], pending: set[str]) -> Iterator[ItemUpserted]:
        for item in items:
            self.put_in.append(item.item_id)
            pending.add(item.item_id)
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
    """The system behind these brokers; the items that were sent are deleted at the end. Raises Unavailable.

    `tenant` owns the items; None: a new tenant, named by the time.
    """
    check_broker(kafka)
    with ExitStack() as stack:
        sink = EventSink(kafka)
        stack.callback(sink.close)
        outcomes = TopicReader(kafka, ITEM_OUTCOMES)
        stack.callback(outcomes.close)
        owner = tenant or f"evaluate-{int(time.time())}"
        system = KafkaSystem(sink, outcomes, stack.enter_context(SearchClient(kafka)), owner)
        stack.callback(system.remove_all)
        yield system
