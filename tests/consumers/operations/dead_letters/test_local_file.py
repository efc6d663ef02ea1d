"""The files of local mode: each letter is stored once and survives the broker; a cut-off line loses no other."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consumers.operations.dead_letters.dead_letter import DeadLetter, from_record, read_topics
from consumers.operations.dead_letters.local_file import DeadLetterFile
from consumers.operations.dead_letters.replay_audit import FileAudit, replayed_id
from consumers.operations.dead_letters.store import DeadLetterStore
from infra.config.errors import BadInput
from infra.config.kafka import KafkaSettings
from infra.kafka import Record
from schemas.audit import DeadLetterReplayed
from tests.consumers.operations.dead_letters.conftest import DeadLetterWriter, MakeRecord


def letter(n: int, value: bytes | None = b"\xff{}") -> DeadLetter:
    headers = {"dead-code": b"image_missing", "dead-topic": b"catalog.items", "dead-offset": b"%d" % n}
    headers |= {"mine": b"text", "bytes": b"\xff"}
    return from_record(Record("catalog.items.dead", 0, n, b"default:\xfe", value, {**headers, "none": None}, 1_000))


def note(about: DeadLetter) -> DeadLetterReplayed:
    return DeadLetterReplayed(
        position=about.position,
        digest=about.digest,
        topic=about.topic,
        code=about.code,
        replayed_at=datetime.now(UTC),
        replay_id="r",
        by="me",
    )


def test_letters_come_back_byte_for_byte_and_each_is_kept_once(tmp_path: Path) -> None:
    letter_file = DeadLetterFile(tmp_path / "letters.jsonl")
    letters = [letter(1), letter(2, None), letter(3)]
    assert list(letter_file.read()) == []
    assert letter_file.add([*letters, letters[0]]) == 3
    assert letter_file.add(letters[1:]) == 0
    assert list(letter_file.read()) == letters


def test_letters_are_for_their_owners_eyes(tmp_path: Path) -> None:
    letter_file = DeadLetterFile(tmp_path / "letters.jsonl")
    letter_file.add([letter(1)])
    assert letter_file.path.stat().st_mode & 0o077 == 0


def test_what_is_dropped_is_gone_and_a_draft_that_a_crash_left_harms_nothing(tmp_path: Path) -> None:
    letter_file = DeadLetterFile(tmp_path / "letters.jsonl")
    letter_file.add(letter(n) for n in range(4))
    (tmp_path / "letters.new").write_text("half a li")
    letter_file.drop({letter(n).id for n in (0, 2)})
    assert [one.offset for one in letter_file.read()] == [1, 3]


def test_a_line_of_an_earlier_version_is_understood_and_one_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "letters.jsonl"
    old = {"topic": "catalog.items", "partition": 0, "offset": 5, "code": "image_missing", "reason": "Rejected"}
    old |= {"message": "m", "key": "YQ==", "value": None, "headers": {"mine": "text"}}
    path.write_text(json.dumps(old) + "\n")
    [found] = DeadLetterFile(path).read()
    assert (found.key, found.value, found.headers, found.timestamp_ms) == (b"a", None, {"mine": b"text"}, 0)
    path.write_text(json.dumps(old) + "\n{}\n")
    with pytest.raises(BadInput, match=r"line 2 of .*letters\.jsonl is not a dead letter"):
        list(DeadLetterFile(path).read())


def test_a_note_that_was_cut_off_does_not_swallow_the_next(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = FileAudit(path)
    audit.note(note(letter(1)))
    with path.open("ab") as file:
        file.write(path.read_bytes()[:40])
    audit.note(note(letter(2)))
    assert [replayed_id(one) for one in audit.read()] == [letter(1).id, letter(2).id]


def test_what_is_open_when_the_broker_stops_is_saved_and_what_was_replayed_is_tidied_away(
    kafka: KafkaSettings, dead_letter_writer: DeadLetterWriter, make_record: MakeRecord, tmp_path: Path
) -> None:
    for n, item in enumerate("abc"):
        dead_letter_writer.write(make_record(item, offset=n))
    letter_store = DeadLetterStore(
        kafka, DeadLetterFile(tmp_path / "letters.jsonl"), FileAudit(tmp_path / "audit.jsonl")
    )
    assert letter_store.audit is not None
    assert letter_store.local_file is not None
    [a, b, c] = read_topics(kafka)
    letter_store.audit.note(note(a))
    assert letter_store.save() == 2
    assert list(letter_store.local_file.read()) == [b, c]
    letter_store.audit.note(note(b))
    letter_store.tidy()
    assert list(letter_store.local_file.read()) == [c]
