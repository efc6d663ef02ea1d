"""Client problems: errors that a client's callbacks report, stored with their remedies until they are resolved."""

import time

from confluent_kafka import KafkaError

from infra.kafka.config import log
from infra.kafka.errors import ErrorClass, classify, explain

FORGET_SECONDS = 60.0
"""Seconds after which a connection problem counts as resolved if it is not reported again: the client reports when
a problem occurs, and not when it ends."""


class Problems:
    """The newest problem of each topic, and of the connection. Thread-safe."""

    def __init__(self) -> None:
        self._problems: dict[str | None, tuple[float, bool, str]] = {}

    def record_error(self, error: KafkaError, topic: str | None = None) -> None:
        """Store a reported error of a topic or of the connection, and log it if it is new.

        A specific error (wrong credentials) is not replaced by its consequence (all brokers are down).
        """
        is_specific = classify(error) is ErrorClass.FATAL or error.code() == KafkaError._RESOLVE
        text = explain(error) if topic is None else f"{topic}: {explain(error)}"
        previous = self._problems.get(topic)
        if previous is not None and previous[1] and not is_specific and self._is_fresh(previous[0]):
            return
        if previous is None or previous[2] != text or not self._is_fresh(previous[0]):
            log.warning("%s", text)
        self._problems[topic] = time.monotonic(), is_specific, text

    def clear(self, topic: str | None) -> None:
        """Remove the problems of a topic and of the connection; None: of the connection only."""
        if self._problems:
            self._problems.pop(topic, None)
            self._problems.pop(None, None)

    @property
    def newest(self) -> str | None:
        """The newest problem that is not resolved, as text; None if there is none."""
        problems = [
            (noted_at, text)
            for topic, (noted_at, _, text) in list(self._problems.items())
            if topic or self._is_fresh(noted_at)
        ]
        return max(problems)[1] if problems else None

    def _is_fresh(self, noted_at: float) -> bool:
        return time.monotonic() - noted_at < FORGET_SECONDS
