"""Which topics and partitions exist, remembered for a while: for answers, whose place the asker names."""

import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.kafka.client import ANSWER_SECONDS, client_config, log
from infra.settings import Kafka

AGAIN_SECONDS = 5.0
"""A topic that is not known is asked for at most so often, however many strangers name it."""


class Places:
    """Knows how many partitions each topic has."""

    def __init__(self, kafka: Kafka) -> None:
        self._admin = AdminClient(client_config(kafka), logger=log)
        self._known: dict[str, int] = {}
        self._asked = float("-inf")

    def exists(self, topic: str, partition: int | None) -> bool:
        """Whether the topic has this partition, or any when it is None; False while the broker is away."""
        if topic not in self._known and time.monotonic() - self._asked > AGAIN_SECONDS:
            self._ask()
        return (partition or 0) < self._known.get(topic, 0)

    def count(self, topic: str) -> int:
        """How many partitions the topic has; 0 when it does not exist, or while the broker is away."""
        return self._known.get(topic, 0) if self.exists(topic, None) else 0

    def _ask(self) -> None:
        self._asked = time.monotonic()
        try:
            topics = self._admin.list_topics(timeout=ANSWER_SECONDS).topics
        except KafkaException:
            return
        self._known = {name: len(found.partitions) for name, found in topics.items()}
