"""Moderation: blocked items never enter the index, restricted ones are found on request, all have an outcome."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from consumers.embedding.moderation import LabelCallable, ModerationPolicy, load_moderator, moderation_policy
from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.merge import changes_by_item, merge
from consumers.indexing.outcomes import OutcomePublisher
from consumers.indexing.watches.watch_matrix import WatchMatrix
from consumers.points.payload import ItemState
from consumers.quality.evaluation.in_process import Outbox
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.look_parts import LookParts
from consumers.searching.facets_handler import FacetsHandler
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from consumers.vision.embedder import DEFAULT_OPTIONS, EmbedOptions
from consumers.vision.look import Look
from consumers.vision.moderator import NO_MODERATOR
from infra.config.errors import SettingsError
from infra.config.settings import ModerationSettings
from infra.qdrant.contract import Index
from infra.qdrant.point_ids import point_id
from schemas.envelope import Event, to_bytes
from schemas.facets import FacetsRequest, FacetsResult
from schemas.failures import Code, Failure, TryLater
from schemas.items import InlineImage
from schemas.outcomes import ItemBlocked, ItemIndexed, ItemOutcome, ItemRemoved
from schemas.results import SearchResult
from schemas.searches import Crop, SearchRequest
from schemas.watches import WatchMatched
from tests.consumers.indexer_harness import ENCODER, HashPictures, open_shard
from tests.consumers.indexing.watches.test_watch_matrix import watch
from tests.consumers.item_histories import BAD, SIZE, delete, patch, upsert

POLICY = ModerationPolicy(frozenset({"illegal"}), frozenset({"adult"}))
PARTS = LookParts(4, 2)
LAMP, BATH, CRIME = b"lamp", b"bath", b"crime"
LABELS = {BATH: ("adult",), CRIME: ("illegal", "odd")}
"""The labels that the moderator of these tests gives."""


@dataclass
class LabellingPictures(HashPictures):
    """Embeds pictures, and has a moderator label them."""

    def embed(
        self, pictures: Sequence[bytes], crops: Sequence[Crop | None] = (), options: EmbedOptions = DEFAULT_OPTIONS
    ) -> list[Look | Failure]:
        looks = super().embed(pictures, crops)
        found_labels = [LABELS.get(data, ()) for data in pictures]
        return [
            replace(look, labels=labels, moderator="m") if isinstance(look, Look) else look
            for look, labels in zip(looks, found_labels, strict=True)
        ]


@dataclass
class ModeratedIndex:
    """The indexing and the search handler on one index, with one policy."""

    index: Index
    outbox: Outbox
    hash_pictures: LabellingPictures
    items: ItemIndexer
    searches: SearchHandler
    facets: FacetsHandler

    def put(self, *events: Event) -> list[ItemOutcome]:
        """The outcomes of the events of a batch."""
        assert self.items.handle(events) == {}
        return [body for event in self.outbox.take() if isinstance(body := event.body, ItemOutcome)]

    def search(self, picture: bytes = LAMP, **fields: Any) -> SearchResult:
        """The answer to a search by a picture."""
        request = {"request_id": "q", "image": InlineImage(data=picture), "strict": False} | fields
        assert self.searches.handle([Event(SearchRequest.model_validate(request))]) == {}
        [event] = self.outbox.take()
        assert isinstance(event.body, SearchResult)
        return event.body

    def found(self, **fields: Any) -> set[str]:
        """The items that a search finds."""
        return {hit.item_id for hit in self.search(**fields).hits}

    def counted(self, **fields: object) -> dict[str, int]:
        """The number of items of each brand."""
        request = FacetsRequest.model_validate({"request_id": "f", "facets": ("brand",)} | fields)
        self.facets.handle([Event(request)])
        [event] = self.outbox.take()
        assert isinstance(event.body, FacetsResult)
        return {each.value: each.count for each in event.body.counts["brand"]}


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    shard = open_shard(tmp_path)
    yield shard
    shard.close()


def moderated(index: Index, policy: ModerationPolicy = POLICY, moderator: str = "m") -> ModeratedIndex:
    hash_pictures, outbox = LabellingPictures(), Outbox()
    confidence = Calibrator(index, hash_pictures.embed, PARTS)
    pipeline = ImagePipeline(hash_pictures.fetch, hash_pictures.embed, ENCODER, policy, moderator)
    watchlist = WatchMatrix(ENCODER, SIZE, PARTS, policy)
    for each in (watch("all", min_confidence=0.01), watch("some", min_confidence=0.01, restricted=True)):
        open_to_all = each.model_copy(update={"tenant": "default"})
        watchlist.apply(open_to_all.key, to_bytes(open_to_all))
    answers = ReplyPublisher(outbox, ENCODER)
    return ModeratedIndex(
        index,
        outbox,
        hash_pictures,
        ItemIndexer(pipeline, index, enrichers_of(index, confidence, watchlist.rows), OutcomePublisher(outbox)),
        SearchHandler(pipeline, index, confidence, answers),
        FacetsHandler(index, answers, policy),
    )


def test_an_item_with_a_label_that_blocks_is_never_indexed_nor_looked_at(index: Index) -> None:
    harness = moderated(index)
    [outcome] = harness.put(upsert("a", 1, LAMP, title="secret", moderation=("illegal", "adult")))
    assert isinstance(outcome, ItemBlocked)
    assert outcome.labels == ("illegal",)
    assert harness.hash_pictures.fetched == []
    assert index.count() == 0
    [stored] = index.payloads([point_id("default", "a", 0)], ["title", "state", "moderation"]).values()
    assert stored == {"state": "dead"}


def test_an_item_goes_when_a_newer_event_blocks_it_and_comes_back_with_a_clean_one(index: Index) -> None:
    harness = moderated(index)
    harness.put(upsert("a", 1, LAMP, BATH))
    assert harness.found(restricted=True) == {"a"}
    labels = {"moderation": ("illegal",)}
    for at, blocking in ((2, patch("a", 2, **labels)), (5, upsert("a", 5, LAMP, **labels))):
        [outcome] = harness.put(blocking)
        assert isinstance(outcome, ItemBlocked)
        assert index.count() == 0
        [patched] = harness.put(patch("a", at + 1, moderation=()))
        assert isinstance(patched, ItemBlocked)
        [back] = harness.put(upsert("a", at + 2, LAMP))
        assert isinstance(back, ItemIndexed)
        assert harness.found() == {"a"}
    [gone] = harness.put(delete("a", 20))
    assert isinstance(gone, ItemRemoved)


def test_a_picture_that_a_moderator_sees_as_blocked_keeps_its_item_out(index: Index) -> None:
    harness = moderated(index)
    event = upsert("a", 1, LAMP, CRIME)
    for again in (event, Event(event.body)):
        [outcome] = harness.put(again)
        assert isinstance(outcome, ItemBlocked)
        assert outcome.labels == ("illegal",)
    assert len(harness.hash_pictures.looked) == 2, "the repeat is not looked at"
    assert index.count() == 0


def test_an_item_is_blocked_by_a_kept_picture_once_the_policy_says_so(index: Index) -> None:
    lenient = moderated(index, ModerationPolicy())
    lenient.put(upsert("a", 1, CRIME))
    strict = moderated(index)
    assert strict.found() == set(), "the policy counts for what the index has already"
    [outcome] = strict.put(upsert("a", 2, CRIME, title="again"))
    assert isinstance(outcome, ItemBlocked)
    assert CRIME not in strict.hash_pictures.looked


def test_a_label_from_before_the_policy_blocked_it_blocks_the_next_event(index: Index) -> None:
    lenient, strict = moderated(index, ModerationPolicy()), moderated(index)
    lenient.put(upsert("a", 1, LAMP), patch("a", 9, moderation=("illegal",)))
    [outcome] = strict.put(upsert("a", 5, BATH))
    assert isinstance(outcome, ItemBlocked)
    assert outcome.labels == ("illegal",)
    assert index.count() == 0


def test_restricted_items_are_found_and_counted_by_those_alone_who_ask(index: Index) -> None:
    harness = moderated(index)
    harness.put(
        upsert("told", 1, b"t", brand="x", moderation=("adult",)),
        upsert("seen", 1, BATH, brand="x"),
        upsert("plain", 1, LAMP, brand="x", moderation=("odd",)),
    )
    assert harness.found() == {"plain"}
    assert harness.found(restricted=True) == {"told", "seen", "plain"}
    assert (harness.counted(), harness.counted(restricted=True)) == ({"x": 1}, {"x": 3})
    harness.put(patch("told", 2, moderation=()), patch("plain", 2, moderation=("adult",)))
    assert harness.found() == {"told"}


def test_standing_searches_match_restricted_items_only_when_they_ask(index: Index) -> None:
    harness = moderated(index)
    harness.items.handle([upsert("seen", 1, BATH)])
    matches = [body for event in harness.outbox.take() if isinstance(body := event.body, WatchMatched)]
    assert [match.watch_id for match in matches] == ["some"]


def test_the_same_bytes_are_looked_at_again_when_the_moderator_is_another_one(index: Index) -> None:
    moderated(index).put(upsert("a", 1, LAMP))
    same, other = moderated(index), moderated(index, moderator="another")
    same.put(upsert("b", 1, LAMP))
    assert same.hash_pictures.looked == []
    other.put(upsert("a", 2, LAMP))
    assert other.hash_pictures.looked == [LAMP]


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"picture": BATH}, "adult"),
        ({"moderation": ("adult",)}, "adult"),
        ({"picture": CRIME, "restricted": True}, "illegal"),
        ({"moderation": ("illegal",), "restricted": True}, "illegal"),
    ],
)
def test_searches_by_what_may_not_be_shown_are_refused_with_the_reason(
    index: Index, fields: dict[str, Any], label: str
) -> None:
    harness = moderated(index)
    harness.put(upsert("a", 1, LAMP))
    result = harness.search(**fields)
    assert (result.status, result.code, result.hits) == ("rejected", Code.MODERATED, ())
    assert label in (result.message or "")
    assert harness.search(picture=BATH, moderation=("adult", "odd"), restricted=True).status == "ok"


def test_a_moderator_that_fails_or_gives_no_labels_holds_back_what_it_was_to_judge() -> None:
    picture = Image.new("RGB", (8, 8))
    assert LabelCallable("m", lambda _: ["b", "a", "b"]).labels(picture) == ("a", "b")
    with pytest.raises(TryLater, match="m failed with ZeroDivisionError") as failed:
        LabelCallable("m", lambda _: [str(1 // 0)]).labels(picture)
    assert failed.value.code == Code.MODERATOR_FAILED
    for bad in (["Not A Label"], "ab c", ["x"] * 21):
        with pytest.raises(TryLater, match="did not return at most 20 labels"):
            LabelCallable("m", lambda _, given=bad: given).labels(picture)  # type: ignore[misc]


def test_settings_name_the_moderator_and_what_labels_mean() -> None:
    assert load_moderator(ModerationSettings()) is NO_MODERATOR
    named = load_moderator(ModerationSettings(call="json:loads"))
    assert named.name == "json:loads"
    assert moderation_policy(ModerationSettings(blocked=("x",), restricted=())) == ModerationPolicy(frozenset("x"))
    with pytest.raises(SettingsError, match=r"LOOKSTREAM_MODERATION_CALL: no_such.module:f cannot be imported"):
        load_moderator(ModerationSettings(call="no_such.module:f"))
    with pytest.raises(SettingsError, match="is str, not a function"):
        load_moderator(ModerationSettings(call="string:digits"))


steps = st.lists(
    st.tuples(
        st.sampled_from(["upsert", "upsert", "patch", "patch", "delete"]),
        st.integers(1, 30),
        st.sampled_from([None, (), ("adult",), ("illegal",)]),
    ),
    min_size=1,
    max_size=10,
    unique_by=lambda step: step[1],
)


@given(steps, st.randoms(use_true_random=False))
def test_blocks_give_one_state_in_any_order(
    history: list[tuple[str, int, tuple[str, ...] | None]], rng: Random
) -> None:
    """Patches that come before there is an item are tried again later, so these come last here."""
    events = [_event(*step) for step in history]
    in_order = _folded(events)
    rng.shuffle(events)
    events.sort(key=lambda event: "patched" in event.body.schema_)
    cut = rng.randrange(len(events) + 1)
    state = _folded(*(batch for batch in (events[:cut], events[cut:]) if batch))
    assert (state.live, state.base) == (in_order.live, in_order.base)
    assert bool(state.blocked) == bool(in_order.blocked) or not in_order.live
    if state.live:
        assert state == in_order


def _event(kind: str, revision: int, labels: tuple[str, ...] | None) -> Event:
    facts: dict[str, object] = {"title": str(revision)} | ({} if labels is None else {"moderation": labels})
    if kind == "delete":
        return delete("a", revision)
    return patch("a", revision, **facts) if kind == "patch" else upsert("a", revision, LAMP, **facts)


def _folded(*batches: Sequence[Event]) -> ItemState:
    state = ItemState()
    for batch in batches:
        [change] = changes_by_item(batch).values()
        state = merge(state, change, POLICY).state
    return state


def test_a_bad_main_picture_of_a_blocked_item_is_not_even_fetched(index: Index) -> None:
    harness = moderated(index)
    [outcome] = harness.put(upsert("a", 1, BAD, moderation=("illegal",)))
    assert isinstance(outcome, ItemBlocked)
