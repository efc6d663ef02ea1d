"""One partition: its committed offsets, and where its next owner begins."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from infra.kafka import Batch, BufferLimits, Record
from infra.kafka.assignment import MAX_NOTED_OFFSETS, Assignment
from infra.kafka.assignments import Assignments

OFFSETS = st.lists(st.integers(0, 60), min_size=1, max_size=30, unique=True).map(sorted)
"""Offsets of a partition: compaction and transactions leave gaps."""


def filled(offsets: Sequence[int], note: str = "") -> Assignment:
    """A partition of which these records have arrived."""
    held = Assignment(0)
    held.resume(note)
    for offset in offsets:
        held.receive(Record("t", 0, offset, b"k", b"v"))
    return held


def take_all(held: Assignment) -> list[int]:
    given_out = []
    while (record := held.take(lambda _record: True)) is not None:
        given_out.append(record.offset)
    return given_out


@given(OFFSETS, st.data())
def test_the_next_owner_is_given_just_what_is_not_done(offsets: list[int], data: st.DataObject) -> None:
    held = filled(offsets)
    given_out = take_all(held)[: data.draw(st.integers(0, len(offsets)))]
    held.open = dict.fromkeys(given_out)
    done = set(data.draw(st.lists(st.sampled_from(given_out), unique=True))) if given_out else set()
    for offset in done:
        held.finish(offset)
    committed, note = held.progress()
    again = [offset for offset in offsets if offset >= max(committed, 0)]
    assert take_all(filled(again, note)) == [offset for offset in offsets if offset not in done]


@given(OFFSETS, st.data())
def test_what_would_be_committed_is_what_is_committed_once_it_is_done(
    offsets: list[int], data: st.DataObject
) -> None:
    held = filled(offsets)
    finished = set(data.draw(st.lists(st.sampled_from(take_all(held)), min_size=1, unique=True)))
    foreseen = held.progress(finished)
    for offset in finished:
        held.finish(offset)
    assert held.progress() == foreseen


def test_what_the_last_owner_left_open_and_the_topic_has_forgotten_holds_nothing_up() -> None:
    held = filled([5, 9], '{"through": 8, "open": [3, 5]}')
    assert take_all(held) == [5, 9]
    held.finish(5)
    held.finish(9)
    assert held.progress() == (10, "")


@given(st.text() | st.just('{"through": "x", "open": []}') | st.just('{"through": 1, "open": 7}') | st.just("[]"))
def test_a_foreign_note_is_ignored(note: str) -> None:
    assert take_all(filled([1, 2], note)) == [1, 2]


def test_a_note_never_outgrows_what_kafka_takes_and_then_says_less_but_nothing_untrue() -> None:
    offsets = list(range(0, 4 * MAX_NOTED_OFFSETS))
    held = filled(offsets)
    take_all(held)
    for offset in offsets[1::2]:
        held.finish(offset)
    committed, note = held.progress()
    assert committed == 0
    assert len(note) < 4_096
    assert set(take_all(filled(offsets, note))) >= set(offsets[::2])


def test_a_partition_whose_head_is_not_due_is_paused_alone_and_counts_for_nothing() -> None:
    held, room = Assignments(), BufferLimits(records=10)
    held.add([("t", 0), ("t", 1)])
    for place, count in ((0, 50), (1, 5)):
        held["t", place].resume("")
        for offset in range(count):
            held["t", place].receive(Record("t", place, offset, b"k", b"v"))

    def due(record: Record) -> float:
        return float("inf") if record.partition == 0 else 0.0

    assert held.to_pause(room, due) == [("t", 0)]
    assert [record.partition for record in held.take(100, due).records] == [1] * 5


def test_of_a_full_room_the_partitions_that_have_more_than_their_part_are_paused() -> None:
    held, room = Assignments(), BufferLimits(records=10)
    held.add([("t", 0), ("t", 1)])
    for place, count in ((0, 9), (1, 1)):
        held["t", place].resume("")
        for offset in range(count):
            held["t", place].receive(Record("t", place, offset, b"k", b"v"))
    held["t", 1].paused = False
    assert held.to_pause(room, lambda _record: 0.0) == [("t", 0)]
    held["t", 0].paused = True
    assert held.to_resume(room, lambda _record: 0.0) == []
    held.take(9, lambda _record: 0.0)
    assert held.to_resume(room, lambda _record: 0.0) == [("t", 0)]


def test_what_was_taken_under_an_earlier_assignment_is_not_marked_under_a_later_one() -> None:
    held = Assignments()
    held.add([("t", 0)])
    held["t", 0].resume("")
    held["t", 0].receive(Record("t", 0, 0, b"k", b"v"))
    batch = held.take(1, lambda _record: 0.0)
    held.drop([("t", 0)])
    held.add([("t", 0)])
    assert held.owned(batch).records == []
    held.finish(batch)
    assert held.uncommitted() == {}


def test_what_is_left_of_a_batch_says_nothing_of_partitions_that_it_has_no_records_of() -> None:
    """Merged with a later batch, it would have a partition that came back count as gone for ever."""
    old, new = Record("t", 0, 0, None, None), Record("t", 1, 0, None, None)
    earlier = Batch([old, new], {("t", 0): 1, ("t", 1): 2})
    later = Batch([new], {("t", 1): 4})
    assert (later + earlier.only([old])).epochs == {("t", 0): 1, ("t", 1): 4}


def test_a_partition_that_comes_back_is_resumed_whatever_the_client_has_kept_of_it() -> None:
    held, room = Assignments(), BufferLimits(records=10)
    held.add([("t", 0)])
    assert held.to_resume(room, lambda _record: 0.0) == [("t", 0)]
    held["t", 0].paused = False
    assert held.to_resume(room, lambda _record: 0.0) == []
