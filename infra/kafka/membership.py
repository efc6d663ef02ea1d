"""Consumer group membership: join the group, rejoin once after fencing, and leave it."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from infra.config.kafka import KafkaSettings
from infra.kafka.config import ANSWER_SECONDS, log, member_config, new_client
from infra.kafka.errors import (
    ErrorClass,
    Fenced,
    KafkaFault,
    PartitionsRevoked,
    classify,
    explain,
    translate_errors,
    translate_member_errors,
)
from infra.kafka.names import OffsetAndMetadata, client_offsets, client_partition, plain_partition, topic_name
from infra.kafka.record import Partition
from infra.retry import Retry

LEAVE_SECONDS = 5.0
"""Most seconds that a leaving member waits until it has joined, and again until it has left."""
REJOIN_INTERVAL_SECONDS = 30.0
"""Fewest seconds between rejoins of a fenced member. A member fences itself if the coordinator dies between its
join request and the response; two workers with one name fence each other within two heartbeats (Kafka 4.4)."""
FENCED = "another worker has this one's name in its group: give each a slot or a static member of its own"


Callbacks = Mapping[str, Callable[..., None]]
"""Callback functions by librdkafka's names for them."""


class Membership:
    """A consumer group member, which joins at the first `receive`.

    `rebalance_callbacks` get assignment changes, `event_callbacks` all other events.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        group: str,
        topics: Sequence[str],
        rebalance_callbacks: Callbacks,
        event_callbacks: Callbacks,
    ) -> None:
        self._kafka = kafka
        self._config: dict[str, object] = {**member_config(kafka, group), **event_callbacks}
        self._topics = [topic_name(kafka, topic) for topic in topics]
        self._rebalance_callbacks = rebalance_callbacks
        self._rejoined_at = float("-inf")
        self._is_subscribed = False
        self._member_id: str | None = None
        self.consumer = new_client(Consumer, self._config)

    @property
    def is_renewed(self) -> bool:
        """Whether the group has removed this member since the last `confirm`, so that it joins as a new one.

        If the client learns of the removal from the response to a join request, it keeps its partitions: it reports
        them to the group as its own, and calls no callback (librdkafka 2.16, rd_kafka_cgrp_handle_JoinGroup with
        UNKNOWN_MEMBER_ID). Another member may have had them meanwhile.
        """
        return self._member_id is not None and self.consumer.memberid() != self._member_id

    def confirm(self) -> None:
        """Store the current member id, to which the group has assigned the partitions."""
        self._member_id = self.consumer.memberid()

    def receive(self, limit: int, seconds: float) -> list[Message]:
        """Poll: wait for the first of up to `limit` messages; callbacks run meanwhile. Raises KafkaFault."""
        if not self._is_subscribed:
            self._subscribe()
        with translate_errors("records were not received"):
            if limit == 1:  # poll returns at once like consume(1), and costs less
                message = self.consumer.poll(seconds)
                return [] if message is None else [message]
            return self.consumer.consume(limit, timeout=seconds)

    def rejoin(self, error: KafkaError) -> None:
        """Join again after fencing, from which the client does not recover by itself.

        Raises KafkaFault for any other error, and Fenced within REJOIN_INTERVAL_SECONDS of the last rejoin.
        """
        if classify(error) is not ErrorClass.FENCED:
            raise KafkaFault(f"this member can receive nothing more: {explain(error)}")
        if time.monotonic() - self._rejoined_at < REJOIN_INTERVAL_SECONDS:
            raise Fenced(f"{FENCED} ({error.str()})")
        self._rejoined_at = time.monotonic()
        log.warning("fenced, rejoining the group as a new member: %s", error.str())
        self.restart()

    def restart(self) -> None:
        """Close the client, and join with a new one, which keeps none of its partitions."""
        self.consumer.close()
        self._member_id = None
        self.consumer = new_client(Consumer, self._config)
        self._subscribe()

    def is_at_end(self, starts: Mapping[Partition, int]) -> bool:
        """Whether each partition was read to its end as of the last fetch.

        `starts` holds the first offset to read, negative for the beginning. Transaction markers at the end of a
        partition count as unread.
        """
        with translate_errors("positions are not known"):
            for each in self.consumer.position([client_partition(self._kafka, partition) for partition in starts]):
                low, high = self.consumer.get_watermark_offsets(each, cached=True)
                start = starts[plain_partition(self._kafka, each)]
                position = each.offset if each.offset >= 0 else start if start >= 0 else low
                if high < 0 or position < high:
                    return False
        return True

    def pause(self, partitions: Iterable[Partition], *, paused: bool) -> None:
        """Pause or resume partitions."""
        pause_or_resume = self.consumer.pause if paused else self.consumer.resume
        with translate_errors("partitions were not paused or resumed"):
            pause_or_resume([client_partition(self._kafka, partition) for partition in partitions])

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, OffsetAndMetadata]:
        """The group's committed offsets and notes. Raises Unavailable, PartitionsRevoked or KafkaFault."""
        requested = [client_partition(self._kafka, partition) for partition in partitions]
        with translate_member_errors("the offsets of the group could not be read"):
            found = self.consumer.committed(requested, ANSWER_SECONDS)
            for each in found:
                if each.error is not None:
                    raise KafkaException(each.error)
        return {plain_partition(self._kafka, each): (each.offset, each.metadata or "") for each in found}

    def commit(self, offsets: Mapping[Partition, OffsetAndMetadata], *, asynchronous: bool) -> None:
        """Commit offsets for the group. Raises Unavailable, PartitionsRevoked, Fenced or KafkaFault."""
        with translate_member_errors("offsets were not committed"):
            self._check_is_not_renewed()
            new = client_offsets(self._kafka, offsets)
            if asynchronous:
                return self.consumer.commit(offsets=new, asynchronous=True)
            for each in self.consumer.commit(offsets=new, asynchronous=False) or []:
                if each.error is not None:
                    raise KafkaException(each.error)

    def group_metadata(self) -> object:
        """The metadata of the group for a transaction. Raises PartitionsRevoked."""
        metadata = self.consumer.consumer_group_metadata()
        self._check_is_not_renewed()  # checked last: the metadata may be those of the new member
        return metadata

    def leave(self, has_joined: Callable[[], bool], holds_partitions: Callable[[], bool]) -> None:
        """Leave the group, once the member has joined it, and close the client.

        If a member leaves while it joins, the local broker waits for it for ever and admits no other member (Tansu
        0.6.0). With librdkafka a static member leaves only by unsubscribing: if it were closed at once, its
        partitions would stay unassigned until its session ends.
        """
        try:
            if self._is_subscribed:
                self._poll_until(has_joined)
            if self._kafka.static_member and has_joined():
                self.consumer.unsubscribe()
                self._poll_until(lambda: not holds_partitions())
        except (KafkaException, RuntimeError) as error:
            log.warning("the group could not be left properly: %s", error)
        self.consumer.close()

    def _subscribe(self) -> None:
        with translate_errors("the group was not joined"):
            self.consumer.subscribe(self._topics, **self._rebalance_callbacks)
        self._is_subscribed = True

    def _check_is_not_renewed(self) -> None:
        if self.is_renewed:
            raise PartitionsRevoked("the group has removed this member, so its partitions may be another one's")

    def _poll_until(self, condition: Callable[[], bool]) -> None:
        for _ in Retry(LEAVE_SECONDS, sleep=self.consumer.poll, max_pause=0.05).attempts():
            if condition():
                return
