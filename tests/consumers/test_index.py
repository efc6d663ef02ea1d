"""IndexItems on a real index: newest wins, removed pictures go, bad pictures fail alone."""

from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.category import Categories
from consumers.coalesce import coalesce
from consumers.confidence import Confidence
from consumers.index import IndexItems
from consumers.points import hit, point_id
from consumers.sight import Sight
from consumers.vision.look import Eyes
from infra.kafka import Record
from infra.qdrant.plan import Index, SearchPlan
from schemas.envelope import Event
from schemas.failures import Code
from schemas.items import (
    FileImage,
    ImageRef,
    InlineImage,
    ItemDeleted,
    ItemEvent,
    ItemFacts,
    ItemPatched,
    ItemUpserted,
)
from schemas.outcomes import ItemIndexed, ItemRejected, ItemRemoved
from schemas.searches import Filters, Hit
from schemas.topics import CATALOG_ITEMS, ITEM_OUTCOMES

if TYPE_CHECKING:
    from tests.consumers.conftest import Outbox

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]


@pytest.fixture
def job(sight: Sight, index: Index, confidence: Confidence, outbox: "Outbox") -> IndexItems:
    return IndexItems(sight, index, Categories(index, confidence), outbox)


def inline(folder: Path, name: str) -> InlineImage:
    return InlineImage(data=(folder / f"{name}.png").read_bytes())


def upsert(item: str, revision: int, *pictures: ImageRef, **facts: object) -> Event:
    base = {"tenant": "shop", "item_id": item, "revision": revision, "images": pictures}
    return Event(ItemUpserted.model_validate(base | facts))


def delete(item: str, revision: int) -> Event:
    return Event(ItemDeleted(tenant="shop", item_id=item, revision=revision))


def patch(item: str, revision: int, **facts: object) -> Event:
    body = ItemPatched(tenant="shop", item_id=item, revision=revision, facts=ItemFacts.model_validate(facts))
    return Event(body)


def found(index: Index, eyes: Eyes, picture: InlineImage, filters: Filters | None = None) -> list[Hit]:
    [look] = eyes.look_at([picture.data])
    assert not isinstance(look, Exception)
    [points] = index.search([SearchPlan(look.vector, "shop", filters or Filters())])
    return [hit(point, thumbnail=True) for point in points]


def test_an_item_is_found_by_its_picture_with_all_that_is_known_of_it(
    job: IndexItems, index: Index, eyes: Eyes, outbox: "Outbox", discs: Path
) -> None:
    facts = {
        "title": "Red disc",
        "category": "Discs",
        "brand": "Round",
        "price": Decimal("9.50"),
        "currency": "EUR",
        "in_stock": True,
        "tags": ("round",),
    }
    assert job.handle([upsert("r", 1, inline(discs, "red"), **facts), upsert("b", 1, inline(discs, "blue"))]) == {}
    best, *_ = found(index, eyes, inline(discs, "red"))
    assert (best.item_id, best.title, best.category, best.brand) == ("r", "Red disc", "Discs", "Round")
    assert (best.price, best.currency, best.in_stock, best.tags) == (9.5, "EUR", True, ("round",))
    assert "red" in best.colours
    assert best.palette[0].hex.startswith("#")
    assert best.thumbnail is not None
    assert {type(body) for body in outbox.bodies(ITEM_OUTCOMES)} == {ItemIndexed}


def test_filters_on_stock_price_and_colour_hold(job: IndexItems, index: Index, eyes: Eyes, discs: Path) -> None:
    price = {"price": Decimal(5), "currency": "EUR"}
    job.handle(
        [
            upsert("r", 1, inline(discs, "red"), in_stock=True, **price),
            upsert("b", 1, inline(discs, "blue"), in_stock=False),
        ]
    )
    red = inline(discs, "red")
    assert [h.item_id for h in found(index, eyes, red, Filters(colours=("blue",)))] == ["b"]
    assert [h.item_id for h in found(index, eyes, red, Filters(in_stock=True))] == ["r"]
    assert [h.item_id for h in found(index, eyes, red, Filters(price_min=1, price_max=5, currency="EUR"))] == ["r"]
    assert found(index, eyes, red, Filters(colours=("pink",))) == []


def test_the_pictures_that_an_item_has_no_more_are_gone(
    job: IndexItems, index: Index, eyes: Eyes, discs: Path
) -> None:
    job.handle([upsert("a", 1, inline(discs, "red"), inline(discs, "blue"), inline(discs, "green"))])
    assert index.count() == 3
    assert found(index, eyes, inline(discs, "blue"))[0].image == 1
    job.handle([upsert("a", 2, inline(discs, "red"))])
    assert index.count() == 1


def test_an_older_event_changes_nothing(job: IndexItems, index: Index, discs: Path) -> None:
    job.handle([upsert("a", 5, inline(discs, "red"))])
    assert job.handle([upsert("a", 4, inline(discs, "blue")), delete("a", 3)]) == {}
    assert index.revisions([point_id("shop", "a", 0)]) == {point_id("shop", "a", 0): 5}
    assert index.count() == 1


def test_a_late_event_does_not_bring_a_deleted_item_back(
    job: IndexItems, index: Index, eyes: Eyes, outbox: "Outbox", discs: Path
) -> None:
    job.handle([upsert("a", 1, inline(discs, "red"), inline(discs, "blue"))])
    job.handle([delete("a", 3)])
    job.handle([upsert("a", 2, inline(discs, "red"))])
    assert found(index, eyes, inline(discs, "red")) == []
    job.handle([upsert("a", 4, inline(discs, "red"))])
    assert [h.item_id for h in found(index, eyes, inline(discs, "red"))] == ["a"]
    kinds = [type(body) for body in outbox.bodies(ITEM_OUTCOMES)]
    assert kinds == [ItemIndexed, ItemRemoved, ItemIndexed]


def test_a_patch_changes_the_facts_and_keeps_the_look(
    job: IndexItems, index: Index, eyes: Eyes, discs: Path
) -> None:
    job.handle([upsert("a", 1, inline(discs, "red"), title="Old", price=Decimal(5), currency="EUR")])
    assert job.handle([patch("a", 2, price=Decimal(4), currency="EUR", in_stock=False)]) == {}
    [best] = found(index, eyes, inline(discs, "red"))
    assert (best.title, best.price, best.in_stock, best.revision) == ("Old", 4.0, False, 2)


def test_a_patch_of_an_unknown_item_is_refused(job: IndexItems) -> None:
    event = patch("nobody", 1, title="x")
    assert job.handle([event])[event.id].code == Code.ITEM_UNKNOWN


def test_one_bad_picture_never_fails_its_batch(
    job: IndexItems, index: Index, outbox: "Outbox", discs: Path
) -> None:
    broken = InlineImage(data=b"this is not a picture")
    missing = FileImage(root="nowhere", path="a.jpg")
    bad, good, part = (
        upsert("x", 1, broken),
        upsert("a", 1, inline(discs, "red")),
        upsert("p", 1, inline(discs, "red"), missing),
    )
    failures = job.handle([bad, good, part])
    assert {event_id: failure.code for event_id, failure in failures.items()} == {bad.id: Code.IMAGE_FORMAT}
    assert index.count() == 2
    outcomes = {body.item_id: body for body in outbox.bodies(ITEM_OUTCOMES) if isinstance(body, ItemIndexed)}
    assert outcomes["p"].images == 1
    assert [(s.image, s.code) for s in outcomes["p"].skipped] == [(1, Code.SOURCE_REFUSED)]


def test_when_a_folded_item_fails_every_event_that_it_was_folded_from_fails(job: IndexItems) -> None:
    first, second = upsert("x", 1, InlineImage(data=b"broken")), patch("x", 2, title="t")
    assert set(job.handle([first, second])) == {first.id, second.id}


def test_whoever_sent_an_event_hears_that_it_was_refused(job: IndexItems, outbox: "Outbox") -> None:
    event = upsert("x", 7, InlineImage(data=b"broken"))
    record = Record(CATALOG_ITEMS, 0, 3, b"shop:x", b"...")
    job.tell(record, event, job.handle([event])[event.id])
    [outcome] = outbox.bodies(ITEM_OUTCOMES)
    assert isinstance(outcome, ItemRejected)
    assert (outcome.tenant, outcome.item_id, outcome.revision, outcome.code) == ("shop", "x", 7, Code.IMAGE_FORMAT)


PICTURE = InlineImage(data=b"any")
steps = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["upsert", "patch", "delete"]), st.integers(1, 9)),
    max_size=12,
    unique_by=lambda step: (step[0], step[2]),
)


def event_of(item: str, kind: str, revision: int) -> Event:
    title = f"r{revision}"
    if kind == "upsert":
        return upsert(item, revision, PICTURE, title=title)
    return patch(item, revision, title=title) if kind == "patch" else delete(item, revision)


def model(steps_in_order: list[tuple[str, str, int]]) -> dict[str, tuple[str, str | None, int]]:
    """What each item comes to when its events are applied one by one, oldest revision first."""
    state: dict[str, tuple[str, str | None, int]] = {}
    for item, kind, revision in sorted(steps_in_order, key=lambda step: step[2]):
        before = state.get(item)
        if kind == "delete":
            state[item] = ("ItemDeleted", None, revision)
        elif kind == "upsert":
            state[item] = ("ItemUpserted", f"r{revision}", revision)
        elif before is None or before[0] != "ItemDeleted":
            state[item] = (before[0] if before else "ItemPatched", f"r{revision}", revision)
    return state


def summary(item: ItemEvent) -> tuple[str, str | None, int]:
    title = item.title if isinstance(item, ItemUpserted) else None
    title = item.facts.title if isinstance(item, ItemPatched) else title
    return type(item).__name__, title, item.revision


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(steps, st.randoms(use_true_random=False))
def test_a_batch_in_any_order_comes_to_what_its_revisions_say(
    history: list[tuple[str, str, int]], random: Random
) -> None:
    shuffled = history.copy()
    random.shuffle(shuffled)
    merged = coalesce([event_of(*step) for step in shuffled])
    assert {m.item.item_id: summary(m.item) for m in merged} == model(history)
