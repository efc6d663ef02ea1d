"""The table of librdkafka's errors: every code has one class, and the page for operators says the same."""

import re
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException

from infra.kafka import ERROR_CLASSES, ErrorClass, Fenced, KafkaFault, PartitionsRevoked, RecordRefused
from infra.kafka import errors as module
from infra.kafka.errors import classify, translate_errors
from schemas.failures import Unavailable

CODES = {
    name for name in dir(KafkaError) if name.lstrip("_").isupper() and isinstance(getattr(KafkaError, name), int)
}
PAGE = Path(__file__).parents[3] / "docs" / "reliability.md"


def test_every_code_of_librdkafka_has_a_class_and_no_other_name_has_one() -> None:
    assert set(ERROR_CLASSES) == CODES


def test_no_code_has_two_classes() -> None:
    names = Counter(name for group in module._NAMES.values() for name in group.split())
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError.NOT_LEADER_FOR_PARTITION, Unavailable),
        (KafkaError._UNKNOWN_PARTITION, Unavailable),
        (KafkaError.ILLEGAL_GENERATION, PartitionsRevoked),
        (KafkaError.UNKNOWN_MEMBER_ID, PartitionsRevoked),
        (KafkaError.FENCED_INSTANCE_ID, Fenced),
        (KafkaError.MSG_SIZE_TOO_LARGE, RecordRefused),
        (KafkaError._AUTHENTICATION, KafkaFault),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaFault),
    ],
)
def test_a_call_that_fails_raises_the_exception_of_its_class(code: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="the step, for the test: "), translate_errors("the step, for the test"):
        raise KafkaException(KafkaError(code))


def test_what_passes_by_itself_is_fenced_when_the_client_says_that_it_is_fatal() -> None:
    assert classify(KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER)) is ErrorClass.RETRIABLE
    assert classify(KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "x", True)) is ErrorClass.FENCED


def test_the_page_on_reliability_shows_the_table() -> None:
    rows = re.findall(
        r"^\| (try again|taken away|fenced|the record's fault|fatal) \|.*\| (.*) \|$", PAGE.read_text(), re.M
    )
    documented = {name: kind for kind, names in rows for name in re.findall(r"`(\w+)`", names)}
    assert documented == {name: str(kind) for name, kind in ERROR_CLASSES.items()}


def test_every_test_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)`", PAGE.read_text()))
    assert len(named) > 30
    assert [name for name in named if not (PAGE.parents[1] / name).exists()] == []
