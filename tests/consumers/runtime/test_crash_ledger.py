"""The ledger finds records that may have killed the worker, and preserves the order of processing."""

import shutil
from contextlib import suppress
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.runtime.crash_ledger import MAX_CRASHES, CrashLedger
from infra.kafka import Record


def records(count: int) -> list[Record]:
    """The records of two partitions, in turn."""
    return [Record("t", n % 2, n // 2, b"k", b"v") for n in range(count)]


def die_with(path: Path, part: list[Record]) -> None:
    """A worker that died while it processed these records."""
    try:
        with CrashLedger(path).in_progress(part):
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass


@given(count=st.integers(0, 30), held=st.sets(st.integers(0, 29)))
def test_parts_keep_the_order_of_the_batch_and_every_suspect_is_alone(
    tmp_path_factory: pytest.TempPathFactory, count: int, held: set[int]
) -> None:
    batch = records(count)
    suspects = [batch[n] for n in sorted(held) if n < count]
    path = tmp_path_factory.mktemp("ledger") / "a"
    die_with(path, suspects)
    parts = CrashLedger(path).split(batch)
    assert list(chain.from_iterable(parts)) == batch, "what is committed after a part covers all before it"
    for part in parts:
        assert part
        assert len(part) == 1 or not any(record in suspects for record in part)


def test_a_record_is_deadly_once_it_was_alone_in_hand_at_so_many_deaths(tmp_path: Path) -> None:
    path, (first, second) = tmp_path / "a", records(2)
    die_with(path, [first, second])
    assert CrashLedger(path).split([first, second]) == [[first], [second]]
    for _ in range(MAX_CRASHES):
        assert not CrashLedger(path).is_poison_pill(first)
        die_with(path, [first])
    assert CrashLedger(path).is_poison_pill(first)
    assert not CrashLedger(path).is_poison_pill(second)


def test_what_survives_is_no_suspect_any_more(tmp_path: Path) -> None:
    path, batch = tmp_path / "a", records(3)
    die_with(path, batch)
    attempts = CrashLedger(path)
    assert attempts.suspect_count == 3
    for part in attempts.split(batch):
        with attempts.in_progress(part):
            attempts.clear_suspects(part)
    assert attempts.suspect_count == 0
    assert attempts.split(batch) == [batch]


def test_what_was_not_reached_before_a_stop_stays_a_suspect(tmp_path: Path) -> None:
    path, batch = tmp_path / "a", records(3)
    die_with(path, batch)
    ledger = CrashLedger(path)
    with ledger.in_progress(batch[:1]):
        pass  # told to stop before it was handled
    assert CrashLedger(path).split(batch) == [[record] for record in batch]


def test_a_full_disk_costs_the_note_and_not_the_work(tmp_path: Path) -> None:
    ledger, done = CrashLedger(tmp_path / "folder" / "a"), list[int]()
    shutil.rmtree(tmp_path / "folder")
    for number in range(2):
        with ledger.in_progress(records(1)):
            done.append(number)
    assert done == [0, 1]


def test_a_note_replaces_a_longer_one_and_a_shorter_one_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "attempts"
    ledger = CrashLedger(path)
    for count in (1, 3, 2, 400, 1, 400, 2):
        with suppress(KeyboardInterrupt), ledger.in_progress(records(count)):
            raise KeyboardInterrupt  # as at a death the note stays
        copy = Path(shutil.copy(path, tmp_path / "copy"))
        assert CrashLedger(copy).suspect_count == count
