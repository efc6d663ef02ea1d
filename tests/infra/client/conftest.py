"""A query worker for the clients' tests."""

import pytest

from infra.config.kafka import KafkaSettings
from tests.scripted_query_worker import RunQueryWorker, run_query_worker


@pytest.fixture
def answer(kafka: KafkaSettings) -> RunQueryWorker:
    """`with answer(respond): ...` runs a query worker that answers with `respond`."""
    return lambda respond: run_query_worker(kafka, respond)
