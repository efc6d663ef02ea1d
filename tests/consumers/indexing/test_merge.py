"""The merge of the events of one item: which count, which are superseded, which contradict each other."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.indexing.merge import changes_by_item, digest_of, merge
from consumers.points.payload import ItemState
from schemas.envelope import Event, from_bytes, to_bytes
from schemas.failures import Code, Failure, Rejected, TryLater
from schemas.items import ItemUpserted
from tests.consumers.item_histories import KINDS, PICKS, delete, event_of, patch, stored_file, upsert

LAMP, SHOE = b"lamp", b"shoe"


def folded(*batches: Sequence[Event]) -> ItemState:
    """The merged state of one item after these batches."""
    state = ItemState()
    for batch in batches:
        [item_change] = changes_by_item(batch).values()
        state = merge(state, item_change).state
    return state


def verdicts(known: ItemState, *events: Event) -> list[object]:
    """The result of each event: a word, or the code of its failure."""
    [item_change] = changes_by_item(events).values()
    found = merge(known, item_change).outcomes
    return [verdict.code if isinstance(verdict := found[e.id], Failure) else verdict for e in events]


def test_a_late_upsert_keeps_what_newer_patches_have_set() -> None:
    five, eight = upsert("a", 5, LAMP, title="five"), patch("a", 8, title="eight")
    six = upsert("a", 6, SHOE, brand="six")
    states = [folded([five], [eight], [six]), *(folded(order) for order in permutations([five, eight, six]))]
    for state in states:
        assert (state.base, state.revision, state.patched) == (6, 8, {"title": 8})
        assert state.facts == {"title": "eight", "brand": "six"}


def test_patches_of_different_facts_count_in_any_order() -> None:
    state = folded([upsert("a", 1, LAMP)], [patch("a", 8, title="eight")], [patch("a", 7, brand="seven")])
    assert (state.revision, state.facts) == (8, {"title": "eight", "brand": "seven"})
    assert state.patched == {"title": 8, "brand": 7}


def test_a_deleted_item_remembers_its_patches_for_an_upsert_that_is_late() -> None:
    dead = folded([upsert("a", 5, LAMP, title="five")], [patch("a", 8, brand="eight")], [delete("a", 6)])
    assert (dead.live, dead.base, dead.revision, dead.facts) == (False, 6, 6, {"brand": "eight"})
    [item_change] = changes_by_item([upsert("a", 7, LAMP, title="seven")]).values()
    alive = merge(dead, item_change).state
    assert (alive.live, alive.revision, alive.facts) == (True, 8, {"title": "seven", "brand": "eight"})


def test_an_upsert_ends_what_older_patches_had_set() -> None:
    state = folded([upsert("a", 5, LAMP)], [patch("a", 6, title="six")], [upsert("a", 7, LAMP)])
    assert (state.facts, state.patched) == ({}, {})


def test_a_fact_that_a_patch_takes_away_stays_away() -> None:
    state = folded(
        [upsert("a", 1, LAMP, title="one")], [patch("a", 9, title=None)], [upsert("a", 2, LAMP, title="2")]
    )
    assert (state.facts, state.patched) == ({}, {"title": 9})


def test_a_category_is_set_together_with_where_it_comes_from() -> None:
    predicted = {"category": "lamp", "category_source": "predicted", "category_confidence": 0.9}
    [item_change] = changes_by_item([patch("a", 5, category="shoe")]).values()
    state = merge(ItemState(1, live=True, digest="d", facts=predicted), item_change).state
    assert state.facts == {"category": "shoe", "category_source": "given"}
    assert ItemState(1, live=True, digest="d", facts=predicted).payload().items() >= predicted.items()


@pytest.mark.parametrize(
    ("known", "event", "verdict"),
    [
        (ItemState(), upsert("a", 1, LAMP), "counts"),
        (ItemState(), delete("a", 1), "counts"),
        (ItemState(), patch("a", 1, title="x"), Code.ITEM_UNKNOWN),
        (ItemState(5, live=True, digest="d"), upsert("a", 4, LAMP), "superseded"),
        (ItemState(5, live=True, digest="d"), delete("a", 4), "superseded"),
        (ItemState(5, live=True, digest="d"), patch("a", 4, title="x"), "superseded"),
        (ItemState(5, live=True, digest="d"), patch("a", 6, title="x"), "counts"),
        (ItemState(5, live=True, digest="d"), patch("a", 6), "counts"),
        (ItemState(5, live=True, digest="d"), upsert("a", 5, LAMP), Code.REVISION_CONFLICT),
        (ItemState(5, live=True, digest="d"), delete("a", 5), Code.REVISION_CONFLICT),
        (ItemState(5, live=True, digest="d"), patch("a", 5, title="x"), Code.REVISION_CONFLICT),
        (ItemState(5, live=True, digest="d", patched={"title": 9}), patch("a", 8, title="x"), "superseded"),
        (ItemState(5, live=True, digest="d", patched={"title": 9}), patch("a", 8, title="x", brand="y"), "counts"),
        (
            ItemState(5, live=True, digest="d", patched={"title": 9}),
            patch("a", 9, title="x"),
            Code.REVISION_CONFLICT,
        ),
        (ItemState(5, True, "d", {"title": "x"}, {"title": 9}), patch("a", 9, title="x"), "counts"),
        (ItemState(5, live=False, digest="d"), patch("a", 6, title="x"), Code.ITEM_UNKNOWN),
        (ItemState(5, live=False, digest="d"), patch("a", 4, title="x"), "superseded"),
        (ItemState(5, live=False, digest="d", patched={"title": 9}), patch("a", 9, title="x"), "superseded"),
    ],
)
def test_each_event_gets_one_verdict(known: ItemState, event: Event, verdict: object) -> None:
    assert verdicts(known, event) == [verdict]


def test_a_patch_waits_for_its_item_and_then_is_refused() -> None:
    event = patch("a", 1, title="x")
    [item_change] = changes_by_item([event]).values()
    failure = merge(ItemState(), item_change).outcomes[event.id]
    assert isinstance(failure, TryLater)
    assert failure.tries == 3


def test_of_two_events_of_one_revision_the_first_counts_and_a_repeat_is_none() -> None:
    first, other, again = upsert("a", 5, LAMP), upsert("a", 5, SHOE), upsert("a", 5, LAMP)
    assert verdicts(ItemState(), first, other, again) == ["counts", Code.REVISION_CONFLICT, "counts"]
    assert verdicts(ItemState(), other, first) == ["counts", Code.REVISION_CONFLICT]
    known = folded([first])
    assert verdicts(known, other, again) == [Code.REVISION_CONFLICT, "counts"]
    assert verdicts(known, delete("a", 5), upsert("a", 6, SHOE)) == [Code.REVISION_CONFLICT, "counts"]
    assert isinstance(merge(known, changes_by_item([other])["default:a"]).outcomes[other.id], Rejected)


def test_an_upsert_outweighs_a_patch_of_its_own_revision_whichever_comes_first() -> None:
    base, both = upsert("a", 1, LAMP), (upsert("a", 5, LAMP, title="upsert"), patch("a", 5, title="patch"))
    assert folded([base], [both[0]], [both[1]]) == folded([base], [both[1]], [both[0]]) == folded([base, *both])


def test_what_a_batch_supersedes_is_told_so() -> None:
    events = upsert("a", 1, LAMP), patch("a", 2, title="x"), upsert("a", 3, LAMP), patch("a", 4, title="y")
    assert verdicts(ItemState(), *events) == ["superseded", "superseded", "counts", "counts"]
    assert verdicts(ItemState(), upsert("a", 1, LAMP), delete("a", 2), upsert("a", 3, LAMP)) == [
        "superseded", "superseded", "counts"
    ]  # fmt: skip


def test_events_come_once_by_item_in_their_order() -> None:
    a, b, c = upsert("a", 1, LAMP), delete("b", 1), patch("a", 2)
    item_change = changes_by_item([a, b, a, c])
    assert {key: [one.event for one in events] for key, events in item_change.items()} == {
        "default:a": [a, c],
        "default:b": [b],
    }


def test_a_digest_is_of_the_meaning_not_of_the_spelling() -> None:
    one = upsert(
        "a", 1, LAMP, stored_file(SHOE, with_checksum=True), price=Decimal("5.0"), currency="EUR", tags=("x",)
    )
    same = upsert(
        "a", 1, LAMP, stored_file(SHOE, with_checksum=True), price=Decimal("5.00"), currency="EUR", tags=("x",)
    )
    assert isinstance(one.body, ItemUpserted)
    assert isinstance(same.body, ItemUpserted)
    digest = digest_of(one.body)
    assert digest == digest_of(same.body)
    read = from_bytes(to_bytes(one.body))
    assert isinstance(read, ItemUpserted)
    assert digest == digest_of(read)
    others: list[dict[str, object]] = [
        {"revision": 2}, {"title": "x"}, {"source": "social"}, {"tags": ("y",)}, {"images": one.body.images[:1]}
    ]  # fmt: skip
    assert len({digest_of(one.body.model_copy(update=change)) for change in others} | {digest}) == 6


steps = st.lists(
    st.tuples(st.just("a"), st.sampled_from(KINDS), st.integers(1, 30), st.integers(0, PICKS - 1)),
    min_size=1,
    max_size=12,
    unique_by=lambda step: step[2],
)


@given(steps, st.randoms(use_true_random=False))
def test_upserts_and_deletes_with_the_patches_after_them_come_to_one_state_in_any_order(
    history: list[tuple[str, str, int, int]], rng: Random
) -> None:
    """Patches that come before there is an item are tried again later, so these come last here."""
    events = [event_of(step) for step in history]
    in_order = folded(events)
    rng.shuffle(events)
    events.sort(key=lambda event: "patched" in event.body.schema_)
    cut = rng.randrange(len(events) + 1)
    batches = [batch for batch in (events[:cut], events[cut:]) if batch]
    state = folded(*batches)
    assert (state.base, state.live, state.digest) == (in_order.base, in_order.live, in_order.digest)
    if state.live:
        assert state == in_order
