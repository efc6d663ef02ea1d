"""The words of items in the form in which the index holds them."""

import pytest

from consumers.points.payload import ItemState
from consumers.points.terms import item_terms, terms_of


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Café au Lait", ["cafe", "au", "lait"]),
        ("Women\u2019s DRESSES", ["women", "dress"]),
        ("shirts, shoes; watches & berries", ["shirt", "shoe", "watch", "berry"]),
        ("Straße 42 T-Shirt", ["strasse", "42", "t", "shirt"]),
        ("glass bus gas", ["glass", "bus", "gas"]),
        ("東京 ... _", ["東京"]),
        ("' \u2019s", ["s"]),
    ],
)  # fmt: skip
def test_words_lose_case_accents_and_plural_endings(text: str, terms: list[str]) -> None:
    assert terms_of(text) == terms


def test_an_item_has_the_words_of_all_its_facts() -> None:
    facts = {
        "title": "Striped mugs", "category": "Mugs", "brand": "Öko", "creator": "Ana", "tags": ["New", "sale"],
        "attributes": {"material": "Fine China"}, "url": "https://shop.example/x", "price": 3.0,
    }  # fmt: skip
    assert item_terms(facts) == "striped mug mug oko ana new sale fine china"
    assert item_terms({}) == ""


def test_only_live_items_have_words() -> None:
    facts = {"title": "Mug"}
    assert ItemState(base=1, live=True, facts=facts).payload()["words"] == "mug"
    assert "words" not in ItemState(base=1, live=False, facts=facts).payload()
    assert "words" not in ItemState(base=1, live=True).payload()
