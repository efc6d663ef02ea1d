"""Which topics and partitions exist, remembered for a while: for answers, whose place the asker names."""

import re
import time
from concurrent.futures import Future

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._topic import TopicDescription

from infra.config.settings import KafkaSettings
from infra.kafka.config import ANSWER_SECONDS, admin_client
from infra.kafka.errors import KafkaFault, translating
from infra.kafka.names import plain_topic, topic_name
from schemas.failures import Unavailable
from schemas.topics import REPLY_TO_PATTERN

REPLY_TO = re.compile(REPLY_TO_PATTERN)
"""Topics that strangers may name: of these alone our rights are asked."""

KEPT_SECONDS = 60.0
"""What is known is asked for anew after so long: partitions are added, and rights are granted."""
AGAIN_SECONDS = 5.0
"""A topic that is not known is asked for at most so often, however many strangers name it."""


class PartitionCache:
    """Knows how many partitions each topic has, and where this user may write."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._admin = admin_client(kafka)
        self._counts: dict[str, int] = {}
        self._not_writable: set[str] = set()
        self._asked = float("-inf")

    def takes(self, topic: str, partition: int | None) -> bool:
        """Whether the topic has this partition, or any when it is None, and we may write to it; False while the
        broker is away.
        """
        return (partition or 0) < self.count(topic) and topic not in self._not_writable

    def count(self, topic: str) -> int:
        """How many partitions the topic has; 0 when it does not exist, or while the broker is away."""
        age = time.monotonic() - self._asked
        if age > KEPT_SECONDS or (topic not in self._counts and age > AGAIN_SECONDS):
            self._ask()
        return self._counts.get(topic, 0)

    def _ask(self) -> None:
        self._asked = time.monotonic()
        try:
            with translating("topics are not known"):
                topics = self._admin.list_topics(timeout=ANSWER_SECONDS).topics
                mine = [name for name in topics if name.startswith(topic_name(self._kafka, ""))]
                named = {name for name in mine if REPLY_TO.fullmatch(plain_topic(self._kafka, name))}
                asked = self._admin.describe_topics(
                    TopicCollection(sorted(named)),
                    include_authorized_operations=True,
                    request_timeout=ANSWER_SECONDS,
                )
        except (Unavailable, KafkaFault):
            return
        self._counts = {plain_topic(self._kafka, name): len(topics[name].partitions) for name in mine}
        self._not_writable = {
            plain_topic(self._kafka, name) for name, described in asked.items() if not _may_write(described)
        }


def _may_write(described: "Future[TopicDescription]") -> bool:
    """What the broker says of our rights; where it says nothing, as the local one does, we may try."""
    try:
        allowed = described.result().authorized_operations
    except KafkaException:
        return True
    return not allowed or AclOperation.WRITE in allowed
