"""Problems: what a client's callbacks have reported, kept with its remedy until it is over."""

import time
from collections.abc import Callable

from confluent_kafka import KafkaError

from infra.kafka.config import log
from infra.kafka.errors import ErrorClass, classify, explain

FORGET_SECONDS = 60.0
"""A problem of the connection that is not reported again for so long is over: the client says when one arises, and
nothing when it is gone."""


class Problems:
    """The newest problem of each topic, and of the connection. For any number of threads."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._found: dict[str | None, tuple[float, bool, str]] = {}

    def note(self, error: KafkaError, topic: str | None = None) -> None:
        """Keep what was reported, of a topic or of the connection, and log what was not there before.

        A precise one (the credentials are wrong) is not replaced by what follows from it (all brokers are away).
        """
        precise = classify(error) is ErrorClass.FATAL or error.code() == KafkaError._RESOLVE
        text = explain(error) if topic is None else f"{topic}: {explain(error)}"
        before = self._found.get(topic)
        if before is not None and before[1] and not precise and self._is_fresh(before[0]):
            return
        if before is None or before[2] != text or not self._is_fresh(before[0]):
            log.warning("%s", text)
        self._found[topic] = self._now(), precise, text

    def clear(self, topic: str | None) -> None:
        """All is well with this topic, and so with the connection; None: with the connection."""
        if self._found:
            self._found.pop(topic, None)
            self._found.pop(None, None)

    @property
    def newest(self) -> str | None:
        """What is to be told: the newest problem that is not over."""
        found = [(at, text) for topic, (at, _, text) in list(self._found.items()) if topic or self._is_fresh(at)]
        return max(found)[1] if found else None

    def _is_fresh(self, at: float) -> bool:
        return self._now() - at < FORGET_SECONDS
