"""The feed of standing searches on a real broker, and the file in which they survive it."""

from contextlib import closing
from pathlib import Path

import pytest

from consumers.curves import Parts
from consumers.watches.feed import WatchFeed
from consumers.watches.kept import KeptWatches
from consumers.watches.watchlist import Watchlist
from infra.console import BadInput
from infra.kafka import EventSink, read_to_end
from infra.settings import Kafka
from schemas.envelope import Event
from schemas.topics import SEARCH_WATCHES
from tests.chaos.processes import wait_for
from tests.consumers.histories import SIZE
from tests.consumers.shop import ENCODER
from tests.consumers.watches.test_matching import watch


def open_feed(kafka: Kafka, kept: KeptWatches | None = None) -> WatchFeed:
    with closing(EventSink(kafka)) as sink:
        return WatchFeed(kafka, Watchlist(ENCODER, SIZE, Parts(4, 2)), kept, sink)


def ids(feed: WatchFeed) -> set[str]:
    rows = feed.rows("t")
    return set() if rows is None else {each.watch_id for each in rows.watches}


def send(kafka: Kafka, *watch_ids: str) -> None:
    with closing(EventSink(kafka)) as sink:
        for watch_id in watch_ids:
            sink.send(SEARCH_WATCHES, f"t:{watch_id}", Event(watch(watch_id)))
        sink.flush()


def end(kafka: Kafka, watch_id: str) -> None:
    with closing(EventSink(kafka)) as sink:
        sink.send_raw(SEARCH_WATCHES, f"t:{watch_id}".encode(), None, {})
        sink.flush()


def test_a_worker_knows_at_its_start_what_was_added_before_and_hears_what_comes(kafka: Kafka) -> None:
    send(kafka, "old", "older")
    with closing(open_feed(kafka)) as feed:
        assert ids(feed) == {"old", "older"}
        send(kafka, "new")
        end(kafka, "old")
        wait_for(lambda: ids(feed) == {"older", "new"}, "the feed to hear of it", seconds=10)
    with closing(open_feed(kafka)) as feed:
        assert ids(feed) == {"older", "new"}


def test_what_a_broker_has_forgotten_comes_back_from_the_file(kafka: Kafka, tmp_path: Path) -> None:
    kept = KeptWatches(tmp_path / "watches.jsonl")
    with closing(open_feed(kafka, kept)) as feed:
        send(kafka, "a", "b", "c")
        wait_for(lambda: ids(feed) == {"a", "b", "c"}, "the feed to hear of it", seconds=10)
        end(kafka, "b")  # nobody asks after that, but it is kept
    values = kept.read()
    assert sorted(values) == ["t:a", "t:c"]
    assert (tmp_path / "watches.jsonl").stat().st_mode & 0o077 == 0
    # The topic holds records of its own, so what the file says is not brought back over them.
    send(kafka, "d")
    with closing(open_feed(kafka, kept)) as feed:
        assert ids(feed) == {"a", "c", "d"}


def test_an_empty_topic_is_filled_from_the_file(kafka: Kafka, tmp_path: Path) -> None:
    from schemas.envelope import to_bytes

    kept = KeptWatches(tmp_path / "watches.jsonl")
    kept.write({"t:a": to_bytes(watch("a"))})
    with closing(open_feed(kafka, kept)) as feed:
        assert ids(feed) == {"a"}
    assert [record.key for record in read_to_end(kafka, [SEARCH_WATCHES])] == [b"t:a"]


def test_what_the_topic_says_goes_first_and_what_came_while_no_worker_ran_is_kept(
    kafka: Kafka, tmp_path: Path
) -> None:
    from schemas.envelope import to_bytes

    kept = KeptWatches(tmp_path / "watches.jsonl")
    kept.write({f"t:{name}": to_bytes(watch(name)) for name in ("forgotten", "ended")})
    send(kafka, "new")
    end(kafka, "ended")
    with closing(open_feed(kafka, kept)) as feed:
        assert ids(feed) == {"forgotten", "new"}
        assert sorted(kept.read()) == ["t:forgotten", "t:new"]


def test_a_line_that_is_no_watch_is_named(tmp_path: Path) -> None:
    (tmp_path / "watches.jsonl").write_text('["t:a", "{}"]\n17\n')
    with pytest.raises(BadInput, match="line 2 of"):
        KeptWatches(tmp_path / "watches.jsonl").read()
