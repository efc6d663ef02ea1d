"""The write journal, by which a copy of the index catches up."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.qdrant.embedded.client import Request
from infra.qdrant.embedded.write_journal import JournalReader, WriteJournal

REQUESTS = st.lists(
    st.tuples(st.sampled_from(("upsert", "remove")), st.tuples(st.integers(-(2**63), 2**64 - 1), st.text()))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=REQUESTS, second=REQUESTS)
def test_each_request_is_replayed_once_and_in_order_while_more_are_taken_down(
    first: list[Request], second: list[Request], tmp_path: Path
) -> None:
    path, replayed = tmp_path / "journal", list[Request]()
    journal = WriteJournal(path)
    reader = JournalReader(path)
    for part in (first, second):
        for request in part:
            journal.append(request)
        assert reader.replay(replayed.append) == len(part)
    journal.close()
    reader.close()
    assert replayed == first + second


def test_an_entry_that_is_not_there_whole_is_left_for_later(tmp_path: Path) -> None:
    path, replayed = tmp_path / "journal", list[Request]()
    journal = WriteJournal(path)
    journal.append(("upsert", ("whole",)))
    journal.close()
    entry = path.read_bytes()
    reader = JournalReader(path)
    for cut in range(len(entry)):
        path.write_bytes(entry[:cut])
        assert reader.replay(replayed.append) == 0
    path.write_bytes(entry)
    assert reader.replay(replayed.append) == 1
    assert replayed == [("upsert", ("whole",))]
    reader.close()
