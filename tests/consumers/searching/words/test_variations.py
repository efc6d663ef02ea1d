"""Variations: how the neighbours of an item differ from it, and that each asks for what it says."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from consumers.embedding.moderation import ModerationPolicy
from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.scoring.calibrator import Calibrator
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from infra.qdrant.contract import Index
from schemas.envelope import Event
from schemas.filters import Filters
from schemas.items import InlineImage, ItemUpserted
from schemas.results import SearchResult
from tests.consumers.conftest import answer_to
from tests.consumers.flag_catalogue import portrait

if TYPE_CHECKING:
    from tests.consumers.conftest import Outbox

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]

SHOP: dict[str, dict[str, Any]] = {
    "red-shirt": {"title": "Striped shirt", "category": "Clothes > Shirts", "brand": "Arrow", "price": "30"},
    "blue-shirt": {"title": "Striped shirt", "category": "Clothes > Shirts", "brand": "Arrow", "price": "20"},
    "blue-tee": {"title": "Dotted tee", "category": "Clothes > Tees", "brand": "Roadster", "price": "10"},
    "green-tee": {"title": "Striped tee", "category": "Clothes > Tees", "brand": "Orange", "price": "30"},
    "green-dress": {"title": "Floral dress", "category": "Dresses", "brand": "Roadster", "price": "60"},
}


def thing(number: int, name: str, **changes: object) -> ItemUpserted:
    colour = {"color": name.partition("-")[0].title()}
    facts = {"revision": 1, "currency": "EUR", "attributes": colour, **SHOP[name], **changes}
    picture = InlineImage(data=portrait(number, "rgbk"))
    return ItemUpserted.model_validate({"item_id": name, "images": (picture,), **facts}, strict=False)


@pytest.fixture
def indexer(pipeline: ImagePipeline, index: Index, confidence: Calibrator, outbox: "Outbox") -> ItemIndexer:
    indexer = ItemIndexer(pipeline, index, enrichers_of(index, confidence), OutcomePublisher(outbox))
    assert indexer.handle([Event(thing(number, name)) for number, name in enumerate(SHOP)]) == {}
    return indexer


@pytest.fixture
def ask(
    indexer: ItemIndexer, pipeline: ImagePipeline, index: Index, confidence: Calibrator, outbox: "Outbox"
) -> Any:
    """Asks for the variations of an item of the shop."""
    policy = ModerationPolicy(restricted=frozenset({"adult"}))
    replies = ReplyPublisher(outbox, "fake:1")
    handler = SearchHandler(replace(pipeline, policy=policy), index, confidence, replies)
    return partial(answer_to, handler, outbox, variations=True, strict=False)


def counts(result: SearchResult) -> dict[tuple[str, str], int]:
    """The numbers of items by the kinds and values of the variations."""
    return {(each.kind, f"{'not ' * each.negated}{each.value}"): each.count for each in result.variations}


def test_what_neighbours_have_and_the_item_has_not_is_counted(ask: Any) -> None:
    assert counts(ask(item_id="red-shirt")) == {
        ("colour", "blue"): 2,
        ("colour", "green"): 2,
        ("price", "..30 EUR"): 2,
        ("price", "30.01.. EUR"): 1,
        ("pattern", "not striped"): 2,
        ("pattern", "dotted"): 1,
        ("pattern", "floral"): 1,
        ("category", "Tees"): 2,
        ("category", "Dresses"): 1,
        ("brand", "Roadster"): 2,
    }


def test_the_text_of_each_variation_finds_as_many_items_as_it_says(ask: Any) -> None:
    for variation in ask(item_id="red-shirt").variations:
        result = ask(item_id="red-shirt", text=variation.text)
        assert len(result.hits) == variation.count, variation
        [word] = result.understood
        assert (word.kind, word.negated) == (variation.kind, variation.negated)


def test_variations_of_variations_hold_both_and_name_no_kind_twice(ask: Any) -> None:
    result = ask(item_id="red-shirt", text="blue")
    assert counts(result) == {
        ("price", "..30 EUR"): 2,
        ("pattern", "not striped"): 1,
        ("pattern", "dotted"): 1,
        ("category", "Tees"): 1,
        ("brand", "Roadster"): 1,
    }
    assert {each.text for each in result.variations} >= {"blue, cheaper", "blue, not striped", "blue, Tees"}
    for variation in result.variations:
        assert len(ask(item_id="red-shirt", text=variation.text).hits) == variation.count, variation


def test_filters_hold_for_the_neighbours(ask: Any) -> None:
    result = ask(item_id="red-shirt", filters=Filters(category=("Dresses",)))
    assert counts(result)["colour", "green"] == 1
    assert ("colour", "blue") not in counts(result)


def test_an_item_without_a_price_is_varied_by_a_bound(ask: Any, indexer: ItemIndexer) -> None:
    free = thing(5, "red-shirt", item_id="free", price=None, currency=None)
    assert indexer.handle([Event(free)]) == {}
    [price] = [each for each in ask(item_id="free").variations if each.kind == "price"]
    assert (price.text, price.value, price.count) == ("under 20 EUR", "..20 EUR", 2)


def test_a_brand_whose_name_means_something_else_is_no_variation(ask: Any) -> None:
    assert ("brand", "Orange") not in counts(ask(item_id="red-shirt"))


def test_items_of_other_tenants_and_hidden_ones_are_no_neighbours(ask: Any, indexer: ItemIndexer) -> None:
    before = counts(ask(item_id="red-shirt"))
    other = thing(5, "green-dress", tenant="other")
    hidden = thing(6, "green-dress", item_id="hidden", moderation=("adult",))
    indexer.handle([Event(other), Event(hidden)])
    assert counts(ask(item_id="red-shirt")) == before


def test_without_the_request_there_are_none(ask: Any) -> None:
    assert ask(item_id="red-shirt", variations=False).variations == ()
    with pytest.raises(ValueError, match="`variations` needs `item_id`"):
        ask(text="blue")
