"""The fields of a dead letter, which letters are the same, and how letters are selected and counted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consumers.operations.dead_letters.dead_letter import DeadLetter, from_record, latest, read_topics
from consumers.operations.dead_letters.selection import parse_selection
from consumers.operations.dead_letters.stats import count_letters
from infra.config.errors import BadInput
from infra.config.kafka import KafkaSettings
from infra.kafka import OutgoingRecord, Record
from schemas.failures import Code
from schemas.topics import CATALOG_ITEMS
from tests.consumers.operations.dead_letters.conftest import HOUR_MS, DeadLetterWriter, MakeRecord

NOW = datetime(2026, 7, 10, 12, tzinfo=UTC)


def letter(**facts: Any) -> DeadLetter:
    fields: dict[str, Any] = {"code": "image_missing", "message": "m", "key": b"default:a", "value": b"{}"}
    fields |= {"topic": CATALOG_ITEMS, "partition": 0, "offset": 0, "reason": "Rejected", "headers": {}, "size": 2}
    fields |= {"digest": "00000000", "died_at_ms": round(NOW.timestamp() * 1000)}
    return DeadLetter(**fields | facts)


def test_a_letter_says_all_that_the_worker_wrote_and_keeps_the_original(
    kafka: KafkaSettings, dead_letter_writer: DeadLetterWriter, make_record: MakeRecord
) -> None:
    record = dead_letter_writer.write(make_record("a", headers={"traceparent": b"00-1", "bytes": b"\xff"}))
    [found] = read_topics(kafka)
    assert (found.position, found.code, found.reason) == (record.position, "image_missing", "Rejected")
    assert (found.key, found.value, found.size) == (record.key, record.value, len(record.value or b""))
    assert found.headers == record.headers
    assert (found.timestamp_ms, found.attempts, found.worker) == (record.timestamp_ms, 1, "host-0")
    assert found.first_failed_at == dead_letter_writer.now.isoformat()
    assert abs(found.died_at - dead_letter_writer.now) < timedelta(minutes=1)


def test_a_letter_written_twice_is_one_and_is_what_it_was_at_last(
    kafka: KafkaSettings, dead_letter_writer: DeadLetterWriter, make_record: MakeRecord
) -> None:
    dead_letter_writer.write(make_record("a"))
    dead_letter_writer.write(make_record("b", offset=1))
    dead_letter_writer.write(make_record("a"), Code.WORKER_KILLED)
    found = {one.key_text: one.code for one in latest(read_topics(kafka)).values()}
    assert found == {"default:a": "worker_killed", "default:b": "image_missing"}


def test_records_at_one_position_of_recreated_topics_are_distinguished(
    kafka: KafkaSettings, dead_letter_writer: DeadLetterWriter, make_record: MakeRecord
) -> None:
    first = dead_letter_writer.write(make_record("a"))
    dead_letter_writer.write(replace(first, timestamp_ms=first.timestamp_ms + 1))
    dead_letter_writer.write(replace(first, value=None))
    found = latest(read_topics(kafka))
    assert len(found) == 3
    assert {one.position for one in found.values()} == {first.position}


def test_every_topic_is_read_to_its_end(
    kafka: KafkaSettings, dead_letter_writer: DeadLetterWriter, make_record: MakeRecord, search_record: Record
) -> None:
    dead_letter_writer.write(search_record)
    for n in range(300):
        dead_letter_writer.sink.send_record(
            OutgoingRecord(f"{CATALOG_ITEMS}.dead", b"k", b"%d" % n, {"dead-offset": b"%d" % n})
        )
    dead_letter_writer.sink.flush()
    assert len(latest(read_topics(kafka))) == 301


def test_headers_that_make_no_sense_do_not_hide_a_letter() -> None:
    headers = {"dead-offset": b"many", "dead-timestamp": b"", "dead-attempts": b"x", "dead-first-failed-at": b"?"}
    found = from_record(Record("x.dead", 2, 7, None, None, headers, HOUR_MS))
    assert (found.position, found.code, found.attempts, found.size) == ("x.dead/2/7", "unknown", 1, None)
    assert found.known_since == found.died_at


def test_the_age_of_a_letter_counts_from_its_first_failure_before_any_replay() -> None:
    first = letter(first_failed_at="2026-07-10T11:00:00+00:00")
    assert first.known_since == NOW - timedelta(hours=1)
    replayed = replace(first, headers={"replay-first-failed-at": b"2026-07-04T00:00:00+00:00"})
    assert replayed.known_since == datetime(2026, 7, 4, tzinfo=UTC)
    postdated = replace(first, headers={"replay-first-failed-at": b"2030-01-01T00:00:00+00:00"})
    assert postdated.known_since == NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("words", "takes"),
    [
        ({}, True),
        ({"codes": ["image_missing", "source_refused"]}, True),
        ({"codes": ["source_refused"]}, False),
        ({"since": "2h"}, True),
        ({"since": "2026-07-10T12:00"}, True),
        ({"since": "2026-07-10T12:00:01"}, False),
        ({"since": "2026-07-10T14:00+03:00"}, True),
        ({"key": "default:a"}, True),
        ({"key": "default:*"}, True),
        ({"key": "default:"}, False),
        ({"key": "other:*"}, False),
        ({"codes": ["image_missing"], "since": "3d", "key": "*"}, True),
    ],
)
def test_letters_are_chosen_by_code_time_and_key(words: dict[str, Any], takes: bool) -> None:
    options: dict[str, Any] = {"codes": None, "since": None, "key": None, "limit": None} | words
    assert parse_selection(**options, now=NOW).matches(letter()) is takes


def test_the_newest_come_first_and_the_limit_counts() -> None:
    letters = [letter(offset=n, died_at_ms=n) for n in (2, 3, 1)]
    choice = parse_selection(None, None, None, 2, NOW)
    assert [one.offset for one in choice.newest(letters)] == [3, 2]
    assert [one.offset for one in choice.oldest(letters)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("codes", "since", "fields"),
    [
        (["image_mising"], None, "did you mean image_missing? The codes are answer_too_large, "),
        (["zzz"], None, "--code zzz does not exist: The codes are"),
        (None, "yesterday", "--since yesterday is no time: give 30m, 2h, 3d"),
    ],
)
def test_what_makes_no_sense_is_named_with_the_remedy(
    codes: list[str] | None, since: str | None, fields: str
) -> None:
    with pytest.raises(BadInput) as refused:
        parse_selection(codes, since, None, None, NOW)
    assert fields in str(refused.value)


def test_letters_are_counted_by_code_topic_hour_and_worker_with_what_most_of_them_say() -> None:
    letters = [letter(message=f"there is no picture file `{n}.png`", worker="w-0") for n in range(3)]
    letters += [letter(message="https://a.example/1 answered 404"), letter(code="event_unreadable", topic="t")]
    stats = count_letters(letters).to_json()
    assert stats["letters"] == 5
    assert stats["by_code"] == {"image_missing": 4, "event_unreadable": 1}
    assert stats["by_topic"] == {CATALOG_ITEMS: 4, "t": 1}
    assert stats["by_hour"] == {"2026-07-10T12:00Z": 5}
    assert stats["by_worker"] == {"w-0": 3, "unknown": 2}
    assert stats["most_frequent_message"] == {
        "image_missing": "there is no picture file `0.png`",
        "event_unreadable": "m",
    }
