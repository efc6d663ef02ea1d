"""ItemIndexer on a real index: the newest revision wins, and a bad picture fails its own item only."""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.points.payload import hit_of
from consumers.scoring.calibrator import Calibrator
from consumers.vision.embedder import ImageEmbedder
from infra.kafka import Record
from infra.qdrant.contract import Index, SearchPlan
from infra.qdrant.point_ids import point_id
from schemas.envelope import Event
from schemas.failures import Code, Rejected, TryLater
from schemas.filters import Filters
from schemas.items import (
    FileImage,
    ImageRef,
    InlineImage,
    ItemDeleted,
    ItemFacts,
    ItemPatched,
    ItemUpserted,
)
from schemas.outcomes import ItemIndexed, ItemRejected, ItemRemoved, ItemSuperseded
from schemas.results import Hit
from schemas.topics import CATALOG_ITEMS, ITEM_OUTCOMES

if TYPE_CHECKING:
    from tests.consumers.conftest import Outbox

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]


@pytest.fixture
def job(pipeline: ImagePipeline, index: Index, confidence: Calibrator, outbox: "Outbox") -> ItemIndexer:
    return ItemIndexer(pipeline, index, enrichers_of(index, confidence), OutcomePublisher(outbox))


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


def found(index: Index, embedder: ImageEmbedder, picture: InlineImage, filters: Filters | None = None) -> list[Hit]:
    [look] = embedder.embed([picture.data])
    assert not isinstance(look, Exception)
    [points] = index.search([SearchPlan(look.vector, "shop", filters or Filters())])
    return [hit_of(point, thumbnail=True) for point in points]


def test_an_item_is_found_by_its_picture_with_all_that_is_known_of_it(
    job: ItemIndexer, index: Index, embedder: ImageEmbedder, outbox: "Outbox", discs: Path
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
    best, *_ = found(index, embedder, inline(discs, "red"))
    assert (best.item_id, best.title, best.category, best.brand) == ("r", "Red disc", "Discs", "Round")
    assert (best.price, best.currency, best.in_stock, best.tags) == (9.5, "EUR", True, ("round",))
    assert "red" in best.colours
    assert best.palette[0].hex.startswith("#")
    assert best.thumbnail is not None
    assert {type(body) for body in outbox.bodies(ITEM_OUTCOMES)} == {ItemIndexed}


def test_filters_on_stock_price_and_colour_hold(
    job: ItemIndexer, index: Index, embedder: ImageEmbedder, discs: Path
) -> None:
    price = {"price": Decimal(5), "currency": "EUR"}
    job.handle(
        [
            upsert("r", 1, inline(discs, "red"), in_stock=True, **price),
            upsert("b", 1, inline(discs, "blue"), in_stock=False),
        ]
    )
    red = inline(discs, "red")
    assert [h.item_id for h in found(index, embedder, red, Filters(colours=("blue",)))] == ["b"]
    assert [h.item_id for h in found(index, embedder, red, Filters(in_stock=True))] == ["r"]
    assert [h.item_id for h in found(index, embedder, red, Filters(price_min=1, price_max=5, currency="EUR"))] == [
        "r"
    ]
    assert found(index, embedder, red, Filters(colours=("pink",))) == []


def test_the_pictures_that_an_item_has_no_more_are_gone(
    job: ItemIndexer, index: Index, embedder: ImageEmbedder, discs: Path
) -> None:
    job.handle([upsert("a", 1, inline(discs, "red"), inline(discs, "blue"), inline(discs, "green"))])
    assert index.count() == 3
    assert found(index, embedder, inline(discs, "blue"))[0].image == 1
    job.handle([upsert("a", 2, inline(discs, "red"))])
    assert index.count() == 1


def test_an_older_event_changes_nothing(job: ItemIndexer, index: Index, discs: Path) -> None:
    job.handle([upsert("a", 5, inline(discs, "red"))])
    assert job.handle([upsert("a", 4, inline(discs, "blue")), delete("a", 3)]) == {}
    main = point_id("shop", "a", 0)
    assert index.payloads([main], ("revision",)) == {main: {"revision": 5}}
    assert index.count() == 1


def test_a_late_event_does_not_bring_a_deleted_item_back(
    job: ItemIndexer, index: Index, embedder: ImageEmbedder, outbox: "Outbox", discs: Path
) -> None:
    job.handle([upsert("a", 1, inline(discs, "red"), inline(discs, "blue"))])
    job.handle([delete("a", 3)])
    job.handle([upsert("a", 2, inline(discs, "red"))])
    assert found(index, embedder, inline(discs, "red")) == []
    job.handle([upsert("a", 4, inline(discs, "red"))])
    assert [h.item_id for h in found(index, embedder, inline(discs, "red"))] == ["a"]
    kinds = [type(body) for body in outbox.bodies(ITEM_OUTCOMES)]
    assert kinds == [ItemIndexed, ItemRemoved, ItemSuperseded, ItemIndexed]


def test_a_patch_changes_the_facts_and_keeps_the_look(
    job: ItemIndexer, index: Index, embedder: ImageEmbedder, discs: Path
) -> None:
    job.handle([upsert("a", 1, inline(discs, "red"), title="Old", price=Decimal(5), currency="EUR")])
    assert job.handle([patch("a", 2, price=Decimal(4), currency="EUR", in_stock=False)]) == {}
    [best] = found(index, embedder, inline(discs, "red"))
    assert (best.title, best.price, best.in_stock, best.revision) == ("Old", 4.0, False, 2)


def test_a_patch_of_an_unknown_item_waits_for_its_upsert(job: ItemIndexer, index: Index, discs: Path) -> None:
    event = patch("a", 2, title="patched")
    failure = job.handle([event])[event.id]
    assert isinstance(failure, TryLater)
    assert failure.code == Code.ITEM_UNKNOWN
    job.handle([upsert("a", 1, inline(discs, "red"))])
    assert job.handle([event]) == {}
    main = point_id("shop", "a", 0)
    assert index.payloads([main], ("title",)) == {main: {"title": "patched"}}


def test_one_bad_picture_never_fails_its_batch(
    job: ItemIndexer, index: Index, outbox: "Outbox", discs: Path
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


def test_an_upsert_that_fails_takes_nothing_with_it(
    job: ItemIndexer, index: Index, outbox: "Outbox", discs: Path
) -> None:
    """A bad event must not change the results of the other events of its batch."""
    good, bad = upsert("a", 1, inline(discs, "red")), upsert("a", 2, InlineImage(data=b"broken"))
    after, lonely = patch("a", 3, title="after"), patch("b", 2, title="x")
    failures = job.handle([good, bad, after, upsert("b", 1, InlineImage(data=b"broken")), lonely])
    assert [failures[event.id].code for event in (bad, lonely)] == [Code.IMAGE_FORMAT, Code.ITEM_UNKNOWN]
    assert len(failures) == 3
    main = point_id("shop", "a", 0)
    assert index.payloads([main], ("base", "title")) == {main: {"base": 1, "title": "after"}}
    assert [body.event_id for body in outbox.bodies(ITEM_OUTCOMES) if isinstance(body, ItemIndexed)] == [
        good.id, after.id
    ]  # fmt: skip


def test_a_refused_event_has_an_outcome(job: ItemIndexer, outbox: "Outbox") -> None:
    event = upsert("x", 7, InlineImage(data=b"broken"))
    record = Record(CATALOG_ITEMS, 0, 3, b"shop:x", b"...")
    job.publish_rejection(record, event, job.handle([event])[event.id])
    [outcome] = outbox.bodies(ITEM_OUTCOMES)
    assert isinstance(outcome, ItemRejected)
    assert (outcome.tenant, outcome.item_id, outcome.revision, outcome.code) == ("shop", "x", 7, Code.IMAGE_FORMAT)
    assert outcome.event_id == event.id


@pytest.mark.parametrize(
    ("key", "headers", "expected"),
    [
        (b"shop:x", {"ce_id": b"e1"}, ("shop", "x", "e1")),
        (b"shop:" + b"y" * 300, {"ce_id": b"e" * 300}, ("shop", "y" * 200, "e" * 200)),
        (b"\xff:x", {}, (None, None, "catalog.items/0/3")),
        (None, {"ce_id": None}, (None, None, "catalog.items/0/3")),
    ],
)
def test_an_unreadable_record_is_reported_with_its_known_fields(
    job: ItemIndexer,
    outbox: "Outbox",
    key: bytes | None,
    headers: dict[str, bytes | None],
    expected: tuple[str | None, ...],
) -> None:
    job.publish_rejection(
        Record(CATALOG_ITEMS, 0, 3, key, b"...", headers), None, Rejected(Code.EVENT_UNREADABLE, "no" * 999)
    )
    [outcome] = outbox.bodies(ITEM_OUTCOMES)
    assert isinstance(outcome, ItemRejected)
    assert (outcome.tenant, outcome.item_id, outcome.event_id) == expected
    assert len(outcome.message) == 500
