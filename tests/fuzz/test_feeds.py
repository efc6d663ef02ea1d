"""The short form of the mutated feeds."""

from pathlib import Path

import pytest

from producers.feed_item import FeedItem
from producers.feeds.formats import read_feed
from producers.row_reader import FeedRow
from tests.fuzz.feeds import Feed, corpus, fuzz


def test_mutated_feeds_give_rows_bad_rows_or_a_refusal() -> None:
    failures = [f"{name}: {failure}" for name, tally in fuzz(200, 7) for failure in tally.failures]
    assert failures == []


@pytest.mark.parametrize("feed", [feed for feed in corpus() if feed.are_rows], ids=lambda feed: feed.name)
def test_the_feeds_of_the_corpus_are_whole(feed: Feed, tmp_path: Path) -> None:
    path = tmp_path / f"feed{feed.suffix}"
    path.write_bytes(feed.data())
    rows = list(read_feed(path) if feed.read is None else feed.read(path))
    assert all(isinstance(row, FeedRow | FeedItem) for row in rows)
    assert len(rows) == len(feed.records)
