"""Which topics and partitions exist, remembered for a while: for answers, whose place the asker names."""

import time

from infra.kafka.config import ANSWER_SECONDS, admin_client
from infra.kafka.errors import KafkaFault, translating
from infra.kafka.names import plain_topic, topic_name
from infra.settings import Kafka
from schemas.failures import Unavailable

AGAIN_SECONDS = 5.0
"""A topic that is not known is asked for at most so often, however many strangers name it."""


class PartitionCache:
    """Knows how many partitions each topic has."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._admin = admin_client(kafka)
        self._counts: dict[str, int] = {}
        self._asked = float("-inf")

    def exists(self, topic: str, partition: int | None) -> bool:
        """Whether the topic has this partition, or any when it is None; False while the broker is away."""
        if topic not in self._counts and time.monotonic() - self._asked > AGAIN_SECONDS:
            self._ask()
        return (partition or 0) < self._counts.get(topic, 0)

    def count(self, topic: str) -> int:
        """How many partitions the topic has; 0 when it does not exist, or while the broker is away."""
        return self._counts.get(topic, 0) if self.exists(topic, None) else 0

    def _ask(self) -> None:
        self._asked = time.monotonic()
        try:
            with translating("topics are not known"):
                topics = self._admin.list_topics(timeout=ANSWER_SECONDS).topics
        except (Unavailable, KafkaFault):
            return
        mine = {name: found for name, found in topics.items() if name.startswith(topic_name(self._kafka, ""))}
        self._counts = {plain_topic(self._kafka, name): len(found.partitions) for name, found in mine.items()}
