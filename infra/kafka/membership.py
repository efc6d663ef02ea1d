"""Membership of a consumer group: joining it, joining anew once when that is doubted, and leaving it."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException

from infra.config.settings import KafkaSettings
from infra.kafka.config import ANSWER_SECONDS, log, member_config, new_client
from infra.kafka.errors import ErrorClass, Fenced, KafkaFault, classify, explain, translating, translating_as_member
from infra.kafka.names import OffsetAndNote, client_partition, plain_partition, topic_name
from infra.kafka.record import Partition
from infra.retry import Retry

LEAVE_SECONDS = 5.0
"""A member that leaves waits so long at most for the end of its joining, and for its leaving."""
SECOND_LOOK_SECONDS = 30.0
"""A member that is fenced joins anew, once in so long: it is fenced by itself when the coordinator dies between its
joining and the answer. Two workers with one name fence each other within two heartbeats (Apache Kafka 4.4)."""
FENCED = "another worker has this one's name in its group: give each a slot or a static member of its own"


Callbacks = Mapping[str, Callable[..., None]]
"""Functions that the client calls, by its names for them."""


class Membership:
    """A member of a group. `changes` are called when partitions come and go, `reports` with what else happens."""

    def __init__(
        self, kafka: KafkaSettings, group: str, topics: Sequence[str], changes: Callbacks, reports: Callbacks
    ) -> None:
        self._kafka = kafka
        self._config: dict[str, object] = {**member_config(kafka, group), **reports}
        self._topics = [topic_name(kafka, topic) for topic in topics]
        self._changes = changes
        self._rejoined = float("-inf")
        self.consumer = self._join()

    def rejoin(self, error: KafkaError) -> None:
        """Join anew after an error from which the client does not recover; raises Fenced or KafkaFault for others,
        or when that has happened just before.
        """
        if classify(error) is not ErrorClass.FENCED:
            raise KafkaFault(f"this member can receive nothing more: {explain(error)}")
        if time.monotonic() - self._rejoined < SECOND_LOOK_SECONDS:
            raise Fenced(f"{FENCED} ({error.str()})")
        self._rejoined = time.monotonic()
        log.warning("fenced, so joining anew once: %s", error.str())
        self.consumer.close()
        self.consumer = self._join()

    def is_at_end(self, starts: Mapping[Partition, int]) -> bool:
        """Whether each partition was read to its end at the last fetch; `starts` is where reading began, below 0
        for the first record. Markers of transactions at the end of a topic count as unread.
        """
        with translating("positions are not known"):
            for each in self.consumer.position([client_partition(self._kafka, place) for place in starts]):
                low, high = self.consumer.get_watermark_offsets(each, cached=True)
                start = starts[plain_partition(self._kafka, each)]
                position = each.offset if each.offset >= 0 else start if start >= 0 else low
                if high < 0 or position < high:
                    return False
        return True

    def pause(self, places: Iterable[Partition], *, paused: bool) -> None:
        """Have partitions pause, or go on."""
        change = self.consumer.pause if paused else self.consumer.resume
        with translating("partitions were not paused or resumed"):
            change([client_partition(self._kafka, place) for place in places])

    def committed(self, places: Iterable[Partition]) -> dict[Partition, OffsetAndNote]:
        """What the group has committed of these partitions. Raises Unavailable, PartitionsRevoked, KafkaFault."""
        asked = [client_partition(self._kafka, place) for place in places]
        with translating_as_member("the offsets of the group could not be read"):
            found = self.consumer.committed(asked, ANSWER_SECONDS)
            for each in found:
                if each.error is not None:
                    raise KafkaException(each.error)
        return {plain_partition(self._kafka, each): (each.offset, each.metadata or "") for each in found}

    def leave(self, has_joined: Callable[[], bool], holds_partitions: Callable[[], bool]) -> None:
        """Leave the group, when it has let this member in, and close the client.

        For one that leaves while it joins the local broker waits for ever, and lets nobody else in (Tansu 0.6.0).
        librdkafka lets a static member leave by unsubscribing alone: closed at once, its partitions would wait for
        its session to end.
        """
        try:
            self._poll_until(has_joined)
            if self._kafka.static_member and has_joined():
                self.consumer.unsubscribe()
                self._poll_until(lambda: not holds_partitions())
        except (KafkaException, RuntimeError) as error:
            log.warning("the group was not left in good order: %s", error)
        self.consumer.close()

    def _join(self) -> Consumer:
        consumer = new_client(Consumer, self._config)
        with translating("the group was not joined"):
            consumer.subscribe(self._topics, **self._changes)
        return consumer

    def _poll_until(self, condition: Callable[[], bool]) -> None:
        for _ in Retry(LEAVE_SECONDS, sleep=self.consumer.poll, longest=0.05).attempts():
            if condition():
                return
