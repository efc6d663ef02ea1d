"""Which failed records of a batch are routed before the rest: an offset must not cover unfinished records."""

from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from consumers.runtime.parsing import ParsedRecord, split_expired
from infra.kafka import Record
from schemas.envelope import Event
from schemas.failures import Code, Rejected
from schemas.items import ItemDeleted

KINDS = ("expired", "work", "done", "broken")


def parsed_of(places: Sequence[tuple[int, str]]) -> list[ParsedRecord]:
    """Records in the order of their offsets, each of a partition and a kind."""
    parsed: list[ParsedRecord] = []
    for offset, (partition, kind) in enumerate(places):
        record = Record("requests", partition, offset, b"", b"", {}, round(datetime.now(UTC).timestamp() * 1000))
        event = Event(ItemDeleted(item_id=f"{offset}", revision=1), id=f"{kind}-{offset}")
        broken = Rejected(Code.EVENT_UNKNOWN, "broken, for the test")
        parsed.append(
            ParsedRecord(record, None, broken)
            if kind == "broken"
            else ParsedRecord(record, event, already_processed=kind == "done")
        )
    return parsed


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(KINDS)), max_size=20))
def test_of_each_partition_only_what_comes_before_all_work_is_settled_first(places: list[tuple[int, str]]) -> None:
    parsed = parsed_of(places)
    expired = {one.event.id for one in parsed if one.event and one.event.id.startswith("expired")}
    first, then = split_expired(parsed, expired)
    assert sorted(first + then, key=lambda one: one.record.offset) == parsed
    assert all(event.id in expired for one in first for event in one.pending_events)
    for partition in range(3):
        early = [one.record.offset for one in first if one.record.partition == partition]
        late = [one.record.offset for one in then if one.record.partition == partition]
        assert not early or not late or max(early) < min(late)


def test_expired_ones_at_the_head_are_first_and_those_behind_work_wait_for_it() -> None:
    parsed = parsed_of([(0, "expired"), (1, "work"), (0, "done"), (0, "work"), (1, "expired")])
    first, then = split_expired(parsed, {"expired-0", "expired-4"})
    assert [one.record.offset for one in first] == [0, 2]
    assert [one.record.offset for one in then] == [1, 3, 4]


def test_without_any_that_is_expired_all_go_together() -> None:
    parsed = parsed_of([(0, "done"), (0, "work"), (0, "broken")])
    assert split_expired(parsed, set()) == ([], parsed)
