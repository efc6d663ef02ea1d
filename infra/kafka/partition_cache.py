"""Partition cache: which topics and partitions exist, to check the reply topic that a request names."""

import re
import time
from concurrent.futures import Future

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._topic import TopicDescription

from infra.config.kafka import KafkaSettings
from infra.kafka.config import ANSWER_SECONDS, admin_client
from infra.kafka.errors import KafkaFault, translate_errors
from infra.kafka.names import plain_topic, topic_name
from schemas.failures import Unavailable
from schemas.topics import REPLY_TO_PATTERN

REPLY_TOPIC = re.compile(REPLY_TO_PATTERN)
"""Topics that clients may name for replies: the cache queries our permissions only for these."""

MAX_AGE_SECONDS = 60.0
"""Seconds until the cache is refreshed, since partitions may be added and permissions may change."""
MIN_REFRESH_SECONDS = 5.0
"""Fewest seconds between refreshes for unknown topics, however many clients name them."""


class PartitionCache:
    """Caches the number of partitions of each topic, and the topics that this user may not write to."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._admin = admin_client(kafka)
        self._counts: dict[str, int] = {}
        self._not_writable: set[str] = set()
        self._refreshed_at = float("-inf")

    def is_writable(self, topic: str, partition: int | None) -> bool:
        """Whether the topic has this partition (None: any) and this user may write to it.

        False for unknown topics while the broker is unavailable.
        """
        return (partition or 0) < self.partition_count(topic) and topic not in self._not_writable

    def partition_count(self, topic: str) -> int:
        """Number of partitions of a topic; 0 if it does not exist or the broker cannot be asked about it."""
        age = time.monotonic() - self._refreshed_at
        if age > MAX_AGE_SECONDS or (topic not in self._counts and age > MIN_REFRESH_SECONDS):
            self._refresh()
        return self._counts.get(topic, 0)

    def _refresh(self) -> None:
        self._refreshed_at = time.monotonic()
        try:
            with translate_errors("topics are not known"):
                topics = self._admin.list_topics(timeout=ANSWER_SECONDS).topics
                own_names = [name for name in topics if name.startswith(topic_name(self._kafka, ""))]
                reply_names = {name for name in own_names if REPLY_TOPIC.fullmatch(plain_topic(self._kafka, name))}
                descriptions = self._admin.describe_topics(
                    TopicCollection(sorted(reply_names)),
                    include_authorized_operations=True,
                    request_timeout=ANSWER_SECONDS,
                )
        except (Unavailable, KafkaFault):
            return
        self._counts = {plain_topic(self._kafka, name): len(topics[name].partitions) for name in own_names}
        self._not_writable = {
            plain_topic(self._kafka, name)
            for name, description in descriptions.items()
            if not _may_write(description)
        }


def _may_write(description: "Future[TopicDescription]") -> bool:
    """Whether the broker allows writes; True if it does not report permissions, like the local broker."""
    try:
        allowed = description.result().authorized_operations
    except KafkaException:
        return True
    return not allowed or AclOperation.WRITE in allowed
