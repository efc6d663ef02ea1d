"""A query worker for the clients' tests."""

import pytest

from infra.config.kafka import KafkaSettings
from tests.answering import Answering, answering


@pytest.fixture
def answer(kafka: KafkaSettings) -> Answering:
    """`with answer(respond): ...` runs a query worker that answers with `respond`."""
    return lambda respond: answering(kafka, respond)
