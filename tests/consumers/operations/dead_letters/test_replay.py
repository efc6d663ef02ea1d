"""Replays: a record is sent again unchanged, and noted after its delivery; nothing is lost."""

import json
import os
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from consumers.operations.dead_letters.dead_letter import DeadLetter, latest, read_topics
from consumers.operations.dead_letters.local_file import DeadLetterFile
from consumers.operations.dead_letters.replay import Replay, ReplayRequest, ReplaySink, ReplayTally
from consumers.operations.dead_letters.replay_audit import Audit, FileAudit, TopicAudit, read_audit, replayed_id
from consumers.operations.dead_letters.replay_plan import TRUNCATED, ReplayPlan, ReplayPlanner
from consumers.operations.dead_letters.replay_run import run_plan
from consumers.operations.dead_letters.selection import Selection
from consumers.operations.dead_letters.store import DeadLetterStore
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, OutgoingRecord, Record, read_to_end
from infra.qdrant.contract import Index, Point
from infra.qdrant.point_ids import point_id
from schemas.audit import DeadLetterReplayed
from schemas.envelope import from_record
from schemas.failures import Code, Unavailable
from schemas.items import ItemDeleted
from schemas.topics import CATALOG_ITEMS
from tests.consumers.operations.dead_letters.conftest import DeadLetterWriter, MakeRecord

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
ORDER = ReplayRequest("replay-1", "ana", rate=10_000)


def plan(
    kafka: KafkaSettings, index: Index, choice: Selection | None = None, now: datetime | None = None
) -> ReplayPlan:
    replayed = {replayed_id(note) for note in read_audit(kafka)}
    return ReplayPlanner(choice or Selection(), replayed, index, now or datetime.now(UTC)).plan(read_topics(kafka))


def run(
    kafka: KafkaSettings,
    sink: ReplaySink,
    audits: Sequence[Audit],
    chosen: dict[str, DeadLetter],
    stop_after: int = 10**9,
) -> ReplayTally:
    tally = ReplayTally()
    replay = Replay(sink, audits, ORDER, lambda: tally.sent >= stop_after)
    list(replay.run(read_topics(kafka), chosen, tally))
    return tally


def sent(kafka: KafkaSettings) -> list[Record]:
    return list(read_to_end(kafka, [CATALOG_ITEMS]))


def reasons(plan: ReplayPlan) -> dict[str | None, str]:
    return {skipped.letter.key_text: skipped.reason for skipped in plan.skipped}


def put(index: Index, item: str, base: int) -> None:
    """Let the index hold an item of this revision."""
    key = f"default:{item}"
    payload = {"item": key, "item_id": item, "tenant": "default", "state": "dead", "version": 1, "base": base}
    index.upsert([Point(point_id("default", item, 0), payload, None)])


@dataclass
class BreakingSink:
    """A sink, or an audit, that raises at its `at`-th record, in place of a process that is killed there."""

    sink: EventSink
    at: int
    audits: Sequence[Audit] = ()
    sent_count: int = field(default=0)

    def send_record(self, record: OutgoingRecord) -> None:
        self._count()
        self.sink.send_record(record)

    def flush(self) -> None:
        self.sink.flush()

    def note(self, replayed: DeadLetterReplayed) -> None:
        self._count()
        for audit in self.audits:
            audit.note(replayed)

    def _count(self) -> None:
        self.sent_count += 1
        if self.sent_count == self.at:
            raise Unavailable("broken, for the test")


def test_a_replayed_record_is_what_it_was_and_says_what_it_is(
    kafka: KafkaSettings, dead_letter_writer: DeadLetterWriter, make_record: MakeRecord, index: Index
) -> None:
    record = dead_letter_writer.write(
        make_record("a", offset=7, headers={"traceparent": b"00-1", "replay-id": b"older"})
    )
    todo = plan(kafka, index)
    tally = run(kafka, dead_letter_writer.sink, [TopicAudit(dead_letter_writer.sink)], todo.send)
    [again] = sent(kafka)
    assert (again.key, again.value, again.partition) == (record.key, record.value, 1)
    assert dict(again.headers) == dict(record.headers) | {
        "replay-of": b"catalog.items/1/7",
        "replay-id": b"replay-1",
        "replay-first-failed-at": dead_letter_writer.now.isoformat().encode(),
    }
    assert tally.sent == 1
    [note] = read_audit(kafka)
    assert (note.position, note.topic, note.code) == ("catalog.items/1/7", CATALOG_ITEMS, "image_missing")
    assert (note.key, note.replay_id, note.by) == ("default:a", "replay-1", "ana")


def test_a_deletion_without_a_value_keeps_the_revision_that_its_time_gave_it(
    kafka: KafkaSettings, dead_letter_writer: DeadLetterWriter, make_record: MakeRecord, index: Index
) -> None:
    lost = dead_letter_writer.write(replace(make_record("a"), value=None, headers={}), Code.WORKER_KILLED)
    run(kafka, dead_letter_writer.sink, [], plan(kafka, index).send)
    [again] = sent(kafka)
    body = from_record(again.position, again.key, again.value, again.headers, again.timestamp_ms).body
    assert body == ItemDeleted(item_id="a", revision=lost.timestamp_ms * 1000 + 999)
    assert again.headers["ce_type"] == b"lookstream.item.deleted/1"


def test_what_would_do_harm_or_nothing_is_left_alone_with_the_reason(
    kafka: KafkaSettings,
    dead_letter_writer: DeadLetterWriter,
    make_record: MakeRecord,
    search_record: Record,
    index: Index,
) -> None:
    dead_letter_writer.write(search_record, Code.EVENT_UNREADABLE)
    dead_letter_writer.sink.send_record(
        OutgoingRecord(f"{CATALOG_ITEMS}.dead", b"default:strange", b"{}", {"dead-topic": b"other"})
    )
    dead_letter_writer.write(replace(make_record("broken", offset=1), value=b"no json"), Code.EVENT_UNREADABLE)
    dead_letter_writer.write(
        replace(make_record("keyless", offset=2), key=b"no-colon", value=None), Code.KEY_INVALID
    )
    dead_letter_writer.write(make_record("stale", revision=5, offset=3))
    dead_letter_writer.write(make_record("conflict", revision=5, offset=4), Code.REVISION_CONFLICT)
    dead_letter_writer.write(make_record("same", revision=5, offset=5))
    dead_letter_writer.write(make_record("newer", revision=5, offset=6))
    for item, base in (("stale", 6), ("conflict", 5), ("same", 5), ("newer", 4)):
        put(index, item, base)
    todo = plan(kafka, index)
    assert {letter.key_text for letter in todo.send.values()} == {"default:same", "default:newer"}
    why = reasons(todo)
    assert why["r"].startswith("a search request, whose sender no longer waits")
    assert why["default:strange"].startswith("of none of the topics catalog.items")
    assert why["default:broken"].startswith("would be refused again: the value is not JSON")
    assert why["no-colon"].startswith("would be refused again: a null value deletes the item of its key")
    assert why["default:stale"] == "older than the state of its item in the index"
    assert why["default:conflict"].startswith("would be refused again: the index has another event")


def test_a_letter_that_is_older_than_the_memory_of_deleted_items_is_refused_however_often_it_was_replayed(
    kafka: KafkaSettings, dead_letter_writer: DeadLetterWriter, make_record: MakeRecord, index: Index
) -> None:
    dead_letter_writer.write(make_record("a"))
    now = dead_letter_writer.now
    assert len(plan(kafka, index, now=now + timedelta(days=6, hours=22)).send) == 1
    late = plan(kafka, index, now=now + timedelta(days=7))
    assert reasons(late)["default:a"].startswith("first failed 7 days ago or earlier")

    run(kafka, dead_letter_writer.sink, [], plan(kafka, index).send)
    [again] = sent(kafka)
    dead_letter_writer.now += timedelta(days=6)
    dead_letter_writer.write(again)
    later = plan(kafka, index, Selection(), now + timedelta(days=8))
    assert len(later.skipped) == 2


def test_a_second_replay_sends_nothing_and_again_sends_it_all(
    kafka: KafkaSettings, dead_letter_writer: DeadLetterWriter, make_record: MakeRecord, index: Index
) -> None:
    for n, item in enumerate("abc"):
        dead_letter_writer.write(make_record(item, offset=n))
    audits = [TopicAudit(dead_letter_writer.sink)]
    assert run(kafka, dead_letter_writer.sink, audits, plan(kafka, index).send).sent == 3
    second = plan(kafka, index)
    assert not second.send
    assert set(reasons(second).values()) == {"replayed before: --again does it once more"}
    again = ReplayPlanner(Selection(), (), index, datetime.now(UTC)).plan(read_topics(kafka))
    assert run(kafka, dead_letter_writer.sink, audits, again.send).sent == 3
    assert len(sent(kafka)) == len(list(read_audit(kafka))) == 6


def test_the_oldest_go_first_and_the_limit_counts_those_that_can_be_replayed(
    kafka: KafkaSettings, dead_letter_writer: DeadLetterWriter, make_record: MakeRecord, index: Index
) -> None:
    for n, item in enumerate("abcde"):
        dead_letter_writer.write(make_record(item, offset=n))
    put(index, "a", 2)
    todo = plan(kafka, index, Selection(limit=2, key="default:*"))
    assert [letter.key_text for letter in todo.send.values()] == ["default:b", "default:c"]
    assert todo.left == 2
    assert list(reasons(todo)) == ["default:a"]


def test_a_letter_that_was_cut_is_not_sent_and_says_how_large_its_record_was(
    kafka: KafkaSettings, dead_letter_writer: DeadLetterWriter, make_record: MakeRecord, index: Index
) -> None:
    value = b" " * (kafka.record_bytes + 1)
    dead_letter_writer.write(replace(make_record("huge"), value=value), Code.EVENT_INVALID)
    todo = plan(kafka, index)
    assert (todo.send, list(reasons(todo).values())) == ({}, [TRUNCATED])
    [skipped] = todo.skipped
    assert skipped.letter.size == len(value)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_killed_before_the_send_nothing_is_lost_and_the_note_is_missing_too(
    kafka: KafkaSettings, dead_letter_writer: DeadLetterWriter, make_record: MakeRecord, index: Index, at: int
) -> None:
    for n, item in enumerate("abc"):
        dead_letter_writer.write(make_record(item, offset=n))
    audits = [TopicAudit(dead_letter_writer.sink)]
    with pytest.raises(Unavailable):
        run(kafka, BreakingSink(dead_letter_writer.sink, at), audits, plan(kafka, index).send)
    assert len(list(read_audit(kafka))) == len(sent(kafka)) == at - 1
    run(kafka, dead_letter_writer.sink, audits, plan(kafka, index).send)
    assert sorted((record.key or b"").decode() for record in sent(kafka)) == ["default:a", "default:b", "default:c"]


def test_killed_between_the_send_and_the_note_one_letter_is_sent_twice_and_all_are_noted(
    kafka: KafkaSettings, dead_letter_writer: DeadLetterWriter, make_record: MakeRecord, index: Index
) -> None:
    for n, item in enumerate("abc"):
        dead_letter_writer.write(make_record(item, offset=n))
    audits = [TopicAudit(dead_letter_writer.sink)]
    with pytest.raises(Unavailable):
        run(
            kafka,
            dead_letter_writer.sink,
            [BreakingSink(dead_letter_writer.sink, 2, audits)],
            plan(kafka, index).send,
        )
    run(kafka, dead_letter_writer.sink, audits, plan(kafka, index).send)
    keys = sorted((record.key or b"").decode() for record in sent(kafka))
    assert len(keys) == 4
    assert len(set(keys)) == 3
    assert {replayed_id(note) for note in read_audit(kafka)} == set(latest(read_topics(kafka)))


def test_when_it_is_stopped_what_was_sent_is_noted_and_the_rest_waits(
    kafka: KafkaSettings, dead_letter_writer: DeadLetterWriter, make_record: MakeRecord, index: Index
) -> None:
    for n, item in enumerate("abcd"):
        dead_letter_writer.write(make_record(item, offset=n))
    tally = run(
        kafka, dead_letter_writer.sink, [TopicAudit(dead_letter_writer.sink)], plan(kafka, index).send, stop_after=2
    )
    assert (tally.sent, tally.interrupted) == (2, True)
    assert len(sent(kafka)) == len(list(read_audit(kafka))) == 2
    assert len(plan(kafka, index).send) == 2


def local_store(kafka: KafkaSettings, folder: Path, letters: Iterable[DeadLetter]) -> DeadLetterStore:
    """A store whose file has letters of an earlier broker."""
    file = DeadLetterFile(folder / "letters.jsonl")
    file.add(letters)
    return DeadLetterStore(kafka, file, FileAudit(folder / "audit.jsonl"))


def test_a_stored_letter_differs_from_a_new_one_at_its_position_and_leaves_the_file_once_it_is_replayed(
    kafka: KafkaSettings,
    dead_letter_writer: DeadLetterWriter,
    make_record: MakeRecord,
    index: Index,
    tmp_path: Path,
) -> None:
    dead_letter_writer.write(make_record("before"))
    letter_store = local_store(kafka, tmp_path, [replace(letter, timestamp_ms=1) for letter in read_topics(kafka)])
    assert letter_store.local_file is not None
    assert letter_store.audit is not None
    todo = ReplayPlanner(Selection(), letter_store.replayed(), index, datetime.now(UTC)).plan(
        letter_store.letters()
    )
    assert len(todo.send) == 2
    run_plan(letter_store, kafka, todo, 1000, ReplayTally())
    assert list(letter_store.local_file.read()) == []
    assert (
        {replayed_id(note) for note in letter_store.audit.read()}
        == letter_store.replayed().keys()
        == todo.send.keys()
    )


def test_ctrl_c_ends_a_replay_after_the_letter_in_hand(
    kafka: KafkaSettings,
    dead_letter_writer: DeadLetterWriter,
    make_record: MakeRecord,
    index: Index,
    tmp_path: Path,
) -> None:
    for n, item in enumerate("abc"):
        dead_letter_writer.write(make_record(item, offset=n))
    letter_store, tally = local_store(kafka, tmp_path, ()), ReplayTally()

    def interrupt() -> None:
        while not tally.sent:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    Thread(target=interrupt).start()
    run_plan(letter_store, kafka, plan(kafka, index), 0.05, tally)  # the second would be due after 20 s
    assert (tally.sent, tally.interrupted) == (1, True)
    assert len(sent(kafka)) == len(letter_store.replayed()) == 1
    assert len(plan(kafka, index).send) == 2


def test_a_letter_that_lies_there_twice_is_sent_once(
    kafka: KafkaSettings, dead_letter_writer: DeadLetterWriter, make_record: MakeRecord, index: Index
) -> None:
    dead_letter_writer.write(make_record("a"))
    dead_letter_writer.write(make_record("a"))
    assert run(kafka, dead_letter_writer.sink, [], plan(kafka, index).send).sent == 1
    assert json.loads(sent(kafka)[0].value or b"")["item_id"] == "a"
