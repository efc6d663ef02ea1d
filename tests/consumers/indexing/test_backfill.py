"""Backfill: the items of an older index are copied unchanged into a new one, and a killed run is continued."""

import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing import backfill
from consumers.indexing.backfill import Backfill, BackfillProgress, read_progress
from consumers.points.payload import KNOWN_KEYS, NOTIFIED_WATCHES, prediction_payload
from infra.qdrant.contract import Patch
from infra.qdrant.point_ids import point_ids
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected
from schemas.items import FileImage, ImageRef, InlineImage, ItemUpserted
from schemas.results import Likely
from tests.consumers.indexer_harness import ENCODER, HashPictures, IndexerHarness, Worker, open_indexer, open_shard
from tests.consumers.item_histories import (
    KINDS,
    PICKS,
    Step,
    delete,
    delivered,
    event_of,
    held,
    patch,
    stored_file,
    upsert,
)

ITEMS = ("a", "b", "c")
steps = st.lists(
    st.tuples(st.sampled_from(ITEMS), st.sampled_from(KINDS), st.integers(1, 9), st.integers(0, PICKS - 1)),
    max_size=12,
    unique_by=lambda step: (step[0], step[2]),
)


@dataclass
class FilePictures(HashPictures):
    """Pictures of files can be fetched again, others cannot."""

    def fetch(self, refs: Sequence[ImageRef]) -> Iterator[dict[int, bytes | Failure]]:
        gone = Rejected(Code.SOURCE_REFUSED, "no such folder")
        yield {n: gone for n, ref in enumerate(refs) if _is_gone(ref)}
        there = [n for n, ref in enumerate(refs) if not _is_gone(ref)]
        for wave in super().fetch([refs[n] for n in there]):
            yield {there[n]: picture for n, picture in wave.items()}


class TwoIndexes(NamedTuple):
    """An old index and a new one, each with its job."""

    old: IndexerHarness
    new: IndexerHarness

    def refill(self) -> Backfill:
        pipeline = ImagePipeline(self.new.hash_pictures.fetch, self.new.hash_pictures.embed, ENCODER)
        return Backfill(self.old.index, self.new.index, pipeline, self.new.job)

    def fill(self, meanwhile: Callable[[], None] = lambda: None) -> BackfillProgress:
        refill = self.refill()
        while not read_progress(self.new.index).done:
            refill.step()
            meanwhile()
        return read_progress(self.new.index)


def _is_gone(ref: ImageRef) -> bool:
    return isinstance(ref, FileImage) and ref.root == "gone"


@pytest.fixture(autouse=True)
def page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step copies one page, without a wait between two passes."""
    monkeypatch.setattr(backfill, "STEP_SECONDS", 0.0)
    monkeypatch.setattr(backfill, "GRACE_SECONDS", 0.0)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[TwoIndexes]:
    folders = [tmp_path / name for name in ("old", "new")]
    for folder in folders:
        folder.mkdir()
    shards = [open_shard(folder) for folder in folders]
    yield TwoIndexes(*(open_indexer(shard, FilePictures()) for shard in shards))
    for shard in shards:
        shard.close()


def in_files(event: Event) -> Event:
    """The same event with all of its pictures in files."""
    if not isinstance(event.body, ItemUpserted):
        return event
    images = tuple(
        stored_file(ref.data, with_checksum=False) if isinstance(ref, InlineImage) else ref
        for ref in event.body.images
    )
    return Event(event.body.model_copy(update={"images": images}), id=event.id)


@pytest.mark.long
@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(steps, st.randoms(use_true_random=False), st.integers(0, 12))
def test_a_new_index_gets_the_state_of_the_older_one_whatever_events_come_live(
    tmp_path_factory: pytest.TempPathFactory, history: Sequence[Step], rng: random.Random, live: int
) -> None:
    shards = [open_shard(tmp_path_factory.mktemp(name)) for name in ("old", "new")]
    both = TwoIndexes(*(open_indexer(shard, FilePictures()) for shard in shards))
    events = [in_files(event_of(step)) for step in history]
    workers = Worker(both.old), Worker(both.new)
    for batch in delivered(events, rng):
        workers[0].take(batch)
    for batch in delivered(events[:live], rng):
        workers[1].take(batch)
    workers[0].try_later()
    both.fill()
    assert held(both.new.index, ITEMS) == held(both.old.index, ITEMS)
    marks = [harness.index.payloads(point_ids("default", "a"), ("digest", "base")) for harness in both]
    assert marks[0] == marks[1]
    for shard in shards:
        shard.close()


def test_an_event_that_is_repeated_after_it_was_filled_in_changes_nothing(both: TwoIndexes) -> None:
    event = upsert("a", 1, stored_file(b"red", with_checksum=False), title="A")
    both.old.handle(event)
    assert (both.fill().filled, both.fill().missing) == (1, 0)
    looked = len(both.new.hash_pictures.looked)
    assert both.new.handle(event) == {}
    assert len(both.new.hash_pictures.looked) == looked


def test_pictures_that_came_in_their_events_are_missing_and_named_until_the_events_come_again(
    both: TwoIndexes,
) -> None:
    event = upsert("a", 1, b"red")
    both.old.handle(event, upsert("b", 1, stored_file(b"blue", with_checksum=False)))
    progress = both.fill()
    assert (progress.filled, progress.missing, progress.named) == (1, 1, ("default:a",))
    both.new.handle(event)
    assert held(both.new.index, ITEMS) == held(both.old.index, ITEMS)


def test_what_is_newer_in_the_new_index_stays(both: TwoIndexes) -> None:
    both.old.handle(upsert("a", 1, stored_file(b"red", with_checksum=False), title="old"))
    both.new.handle(upsert("a", 2, stored_file(b"blue", with_checksum=False), title="new"))
    before = held(both.new.index, ITEMS)
    assert both.fill().filled == 0
    assert held(both.new.index, ITEMS) == before


def test_patches_and_deletes_are_filled_in_too(both: TwoIndexes) -> None:
    both.old.handle(
        upsert("a", 1, stored_file(b"red", with_checksum=False), title="old"), patch("a", 3, title="patched")
    )
    both.old.handle(upsert("b", 1, stored_file(b"blue", with_checksum=False)), delete("b", 2))
    assert both.fill().filled == 2
    assert held(both.new.index, ITEMS) == held(both.old.index, ITEMS)
    both.new.handle(upsert("b", 1, stored_file(b"blue", with_checksum=False)), patch("a", 2, title="late"))
    assert held(both.new.index, ITEMS) == held(both.old.index, ITEMS)


def test_a_fill_that_is_killed_is_gone_on_with_and_looks_at_nothing_twice(both: TwoIndexes) -> None:
    names = [f"item-{uuid.uuid4().hex}" for _ in range(100)]
    for name in names:
        both.old.handle(upsert(name, 1, stored_file(name.encode(), with_checksum=False)))
    for _ in range(3):
        both.refill().step()
    assert 0 < read_progress(both.new.index).seen < len(names)
    progress = both.fill()
    assert (progress.filled, progress.seen, progress.done) == (len(names), len(names), True)
    assert sorted(both.new.hash_pictures.looked) == sorted(name.encode() for name in names)


def test_what_standing_searches_know_stays_known_and_what_the_old_encoder_guessed_does_not(
    both: TwoIndexes,
) -> None:
    both.old.handle(upsert("a", 1, stored_file(b"red", with_checksum=False)))
    main = point_ids("default", "a")[0]
    guess = prediction_payload(Likely(name="lamp", confidence=0.5))
    both.old.index.patch([Patch(main, {NOTIFIED_WATCHES: ["reds"], "version": 2, **guess})])
    both.fill()
    filled = both.new.index.payloads([main], KNOWN_KEYS)[main]
    assert filled[NOTIFIED_WATCHES] == ["reds"]
    assert "category" not in filled


def test_items_that_keep_changing_do_not_keep_a_fill_from_ending(both: TwoIndexes) -> None:
    both.old.handle(upsert("a", 1, stored_file(b"red", with_checksum=False)))
    revisions = count(2)

    def change() -> None:
        both.old.handle(upsert("b", next(revisions), stored_file(b"blue", with_checksum=False)))

    change()
    progress = both.fill(change)
    assert (progress.done, progress.missing) == (True, 0)
    assert progress.filled <= 2, "what changed after it had been filled in comes by itself"


def test_an_item_that_the_new_worker_could_not_index_is_filled_in_by_a_later_pass(both: TwoIndexes) -> None:
    both.old.handle(upsert("a", 1, stored_file(b"red", with_checksum=False)))
    events = iter([upsert("b", 1, stored_file(b"blue", with_checksum=False))])

    def live() -> None:
        for event in events:
            both.old.handle(event)  # the new one's worker was given it, and failed

    progress = both.fill(live)
    assert (progress.done, progress.filled) == (True, 2)
    assert held(both.new.index, ITEMS) == held(both.old.index, ITEMS)


def test_a_fill_that_is_killed_in_a_later_pass_still_finds_what_is_missing(both: TwoIndexes) -> None:
    names = [f"item-{uuid.uuid4().hex}" for _ in range(60)]
    both.old.handle(*(upsert(name, 1, stored_file(name.encode(), with_checksum=False)) for name in names))
    while not read_progress(both.new.index).passed:
        both.refill().step()
    both.old.handle(upsert("late", 1, stored_file(b"late", with_checksum=False)))
    for _ in range(20):  # several passes
        both.refill().step()
    assert both.fill().done
    assert held(both.new.index, ["late"]) == held(both.old.index, ["late"])


def test_things_in_pictures_are_found_again_as_the_event_asked_for_them(both: TwoIndexes) -> None:
    both.old.handle(upsert("a", 1, stored_file(b"green", with_checksum=False), objects="all"))
    assert both.fill().filled == 1
    assert held(both.new.index, ["a"]) == held(both.old.index, ["a"])
    assert both.new.index.status().regions == 3
    both.old.handle(delete("a", 2))
    both.new.handle(delete("a", 2))
    assert both.new.index.status().regions == 0
