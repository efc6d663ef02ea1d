"""The topic of standing searches on a real broker, and the file in which they survive the broker."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consumers.indexing.watches.watch_file import WatchFile
from consumers.indexing.watches.watch_matrix import WatchMatrix
from consumers.indexing.watches.watch_topic import WatchTopic
from consumers.scoring.look_parts import LookParts
from infra.config.errors import BadInput
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, OutgoingRecord, read_to_end
from schemas.envelope import Event, from_bytes
from schemas.filters import Filters
from schemas.topics import SEARCH_WATCHES
from schemas.watches import Watch
from tests.chaos.processes import wait_for
from tests.consumers.indexer_harness import ENCODER
from tests.consumers.indexing.watches.test_watch_matrix import watch
from tests.consumers.item_histories import SIZE
from tests.hostile.records import hostile_records


def open_feed(kafka: KafkaSettings, file: WatchFile | None = None) -> WatchTopic:
    with closing(EventSink(kafka)) as sink:
        return WatchTopic(kafka, WatchMatrix(ENCODER, SIZE, LookParts(4, 2)), file, sink)


def ids(feed: WatchTopic) -> set[str]:
    rows = feed.rows("t")
    return set() if rows is None else {each.watch_id for each in rows.watches}


def send(kafka: KafkaSettings, *watch_ids: str) -> None:
    with closing(EventSink(kafka)) as sink:
        for watch_id in watch_ids:
            sink.send(SEARCH_WATCHES, f"t:{watch_id}", Event(watch(watch_id)))
        sink.flush()


def end(kafka: KafkaSettings, watch_id: str) -> None:
    with closing(EventSink(kafka)) as sink:
        sink.send_record(OutgoingRecord(SEARCH_WATCHES, f"t:{watch_id}".encode(), None, {}))
        sink.flush()


def test_a_worker_knows_at_its_start_what_was_added_before_and_hears_what_comes(kafka: KafkaSettings) -> None:
    send(kafka, "old", "older")
    with closing(open_feed(kafka)) as feed:
        assert ids(feed) == {"old", "older"}
        send(kafka, "new")
        end(kafka, "old")
        wait_for(lambda: ids(feed) == {"older", "new"}, "the feed to hear of it", seconds=10)
    with closing(open_feed(kafka)) as feed:
        assert ids(feed) == {"older", "new"}


def test_what_a_broker_has_forgotten_comes_back_from_the_file(kafka: KafkaSettings, tmp_path: Path) -> None:
    file = WatchFile(tmp_path / "watches.jsonl")
    with closing(open_feed(kafka, file)) as feed:
        send(kafka, "a", "b", "c")
        wait_for(lambda: ids(feed) == {"a", "b", "c"}, "the feed to hear of it", seconds=10)
        end(kafka, "b")  # nobody asks after that, but it is kept
    values = file.read()
    assert sorted(values) == ["t:a", "t:c"]
    assert (tmp_path / "watches.jsonl").stat().st_mode & 0o077 == 0
    # The topic has records of its own, so the records of the file are not restored over them.
    send(kafka, "d")
    with closing(open_feed(kafka, file)) as feed:
        assert ids(feed) == {"a", "c", "d"}


def test_an_empty_topic_is_filled_from_the_file(kafka: KafkaSettings, tmp_path: Path) -> None:
    from schemas.envelope import to_bytes

    file = WatchFile(tmp_path / "watches.jsonl")
    file.write({"t:a": to_bytes(watch("a"))})
    with closing(open_feed(kafka, file)) as feed:
        assert ids(feed) == {"a"}
    assert [record.key for record in read_to_end(kafka, [SEARCH_WATCHES])] == [b"t:a"]


def test_what_the_topic_says_goes_first_and_what_came_while_no_worker_ran_is_kept(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    from schemas.envelope import to_bytes

    file = WatchFile(tmp_path / "watches.jsonl")
    file.write({f"t:{name}": to_bytes(watch(name)) for name in ("forgotten", "ended")})
    send(kafka, "new")
    end(kafka, "ended")
    with closing(open_feed(kafka, file)) as feed:
        assert ids(feed) == {"forgotten", "new"}
        assert sorted(file.read()) == ["t:forgotten", "t:new"]


def test_an_invalid_watch_is_ignored_and_the_others_work(kafka: KafkaSettings, tmp_path: Path) -> None:
    file = WatchFile(tmp_path / "watches.jsonl")
    # Apache Kafka takes no record without a key for a compacted topic.
    bad = [one for one in hostile_records(5, 3_000, 20_000) if one.topic == SEARCH_WATCHES and one.key is not None]
    with closing(open_feed(kafka, file)) as feed:
        send(kafka, "a")
        with closing(EventSink(kafka)) as sink:
            for record in bad:
                sink.send_record(OutgoingRecord(SEARCH_WATCHES, record.key, record.value, dict(record.headers)))
            sink.send_record(OutgoingRecord(SEARCH_WATCHES, b"t:bad", b"\xff"))
            sink.flush()
        send(kafka, "b")
        wait_for(lambda: ids(feed) == {"a", "b"}, "the feed to hear of those behind it")
    values = file.read()
    assert {key for key in values if key.startswith("t:")} == {"t:a", "t:b"}
    assert all(isinstance(from_bytes(value), Watch) for value in values.values())
    assert len(values) < len(bad)
    with closing(open_feed(kafka, file)) as feed:
        assert ids(feed) == {"a", "b"}


def test_a_value_that_is_no_watch_ends_the_one_of_its_key(kafka: KafkaSettings, tmp_path: Path) -> None:
    file = WatchFile(tmp_path / "watches.jsonl")
    with closing(open_feed(kafka, file)) as feed:
        send(kafka, "a", "b")
        wait_for(lambda: ids(feed) == {"a", "b"}, "the feed to hear of them")
        with closing(EventSink(kafka)) as sink:
            sink.send_record(OutgoingRecord(SEARCH_WATCHES, b"t:a", b"\xff\x00"))
            sink.flush()
        wait_for(lambda: ids(feed) == {"b"}, "the feed to hear of its end")
    assert sorted(file.read()) == ["t:b"]


def test_lines_of_the_file_that_hold_no_watch_are_passed_over(kafka: KafkaSettings, tmp_path: Path) -> None:
    from schemas.envelope import to_bytes

    file = WatchFile(tmp_path / "watches.jsonl")
    early = to_bytes(watch("early", filters=Filters(created_after=datetime(2026, 1, 1, tzinfo=UTC))))
    beyond = early.replace(b"2026-01-01T00:00:00Z", b"0001-01-01T00:00:00+14:00").replace(b'"early"', b'"beyond"')
    assert b"+14:00" in beyond
    file.write({"t:a": to_bytes(watch("a")), "t:beyond": beyond, "t:x": b"x", "t:other": early})
    with closing(open_feed(kafka, file)) as feed:
        assert ids(feed) == {"a"}
    assert list(file.read()) == ["t:a"]
    assert [record.key for record in read_to_end(kafka, [SEARCH_WATCHES])] == [b"t:a"]


def test_a_disk_that_takes_nothing_is_tried_again(kafka: KafkaSettings, tmp_path: Path) -> None:
    folder = tmp_path / "away"
    file = WatchFile(folder / "watches.jsonl")
    with closing(open_feed(kafka, file)) as feed:
        send(kafka, "a")
        wait_for(lambda: ids(feed) == {"a"}, "the feed to hear of it")
        folder.mkdir()
        feed.idle()
        assert list(file.read()) == ["t:a"]


@pytest.mark.parametrize("line", [b"17", b'["t:a"]', b"\xff", b"[" * 100_000, b'["t:a", "\\ud800"]'])
def test_a_line_that_is_no_entry_is_named(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "watches.jsonl").write_bytes(b'["t:a", "{}"]\n' + line + b"\n")
    with pytest.raises(BadInput, match="line 2 of"):
        WatchFile(tmp_path / "watches.jsonl").read()


def test_a_line_that_is_no_watch_is_named(tmp_path: Path) -> None:
    (tmp_path / "watches.jsonl").write_text('["t:a", "{}"]\n17\n')
    with pytest.raises(BadInput, match="line 2 of"):
        WatchFile(tmp_path / "watches.jsonl").read()
