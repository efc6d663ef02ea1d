"""Partitions come, go and come back: records of an earlier assignment do not count for the current one."""

from infra.kafka import Batch, Record
from infra.kafka.assignments import Assignments

PLACE = ("items", 0)


def record(offset: int) -> Record:
    return Record(*PLACE, offset, None, None)


def given_out(held: Assignments, offset: int) -> Batch:
    """What a worker takes after this record has come in."""
    held[PLACE].resume("")
    held[PLACE].receive(record(offset))
    return held.take(10, lambda _record: 0.0)


def test_what_was_taken_before_a_partition_went_is_not_ours_when_it_is_back() -> None:
    held = Assignments()
    held.add([PLACE])
    before = given_out(held, 0)
    held.drop([PLACE])
    held.add([PLACE])
    assert held.owned(before).records == []


def test_a_batch_of_which_nothing_is_left_does_not_spoil_those_that_come_after_its_partition_is_back() -> None:
    held = Assignments()
    held.add([PLACE])
    left = given_out(held, 0).only([])
    held.drop([PLACE])
    held.add([PLACE])
    batch = given_out(held, 0)
    both = batch + held.owned(left)
    assert held.owned(both).records == batch.records == [record(0)]
