"""An invalid search is refused with a sentence; every other one is accepted."""

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.envelope import describe
from schemas.searches import SearchRequest

PICTURE = {"kind": "url", "url": "https://shop.example/a.png"}
NEAR = {"price": 0.1, "near_price": 20, "price_spread": 5, "currency": "EUR"}


def ask(**fields: Any) -> SearchRequest:
    return SearchRequest.model_validate({"request_id": "q", **fields}, strict=False)


@pytest.mark.parametrize(
    "fields",
    [
        {"image": PICTURE},
        {"item_id": "a"},
        {"like": ["a", "b"]},
        {"image": PICTURE, "more_images": [PICTURE] * 7, "like": ["a"], "unlike": ["b"]},
        {"item_id": "a", "any_of": [{"brand": ["Acme"]}, {"price_max": 5}], "none_of": [{"category": ["Bags"]}]},
        {"item_id": "a", "offset": 900, "top_k": 100},
        {"item_id": "a", "offset": 90, "top_k": 10, "diversity": 0.5, "boosts": NEAR},
        {"item_id": "a", "collapse": "brand", "group_size": 3},
        {"text": "red shoes"},
        {"text": "red shoes", "filters": {"brand": ["Acme"]}, "ignore_words": ["red"], "collapse": "brand"},
        {"image": PICTURE, "text": "but in red", "diversity": 0.5},
        {"image": PICTURE, "objects": "auto", "like": ["a"]},
    ],
    ids=str,
)
def test_searches_that_make_sense(fields: dict[str, Any]) -> None:
    ask(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "nothing to search by"),
        ({"unlike": ["a"]}, "nothing to search by"),
        ({"text": ""}, "text"),
        ({"text": "a" * 301}, "text"),
        ({"text": "red", "unlike": ["a"]}, "need `image`, `item_id` or `like`"),
        ({"text": "red", "diversity": 0.5}, "need `image`, `item_id` or `like`"),
        ({"text": "red", "look": True}, "need `image`, `item_id` or `like`"),
        ({"text": "red", "crop": {"x": 0, "y": 0, "w": 0.5, "h": 0.5}}, "`crop` needs `image`"),
        ({"image": PICTURE, "item_id": "a"}, "not both"),
        ({"item_id": "a", "more_images": [PICTURE]}, "`more_images` needs `image`"),
        ({"item_id": "a", "crop": {"x": 0, "y": 0, "w": 0.5, "h": 0.5}}, "`crop` needs `image`"),
        ({"item_id": "a", "objects": "auto"}, "`objects` needs `image`"),
        ({"image": PICTURE, "objects": "all", "crop": {"x": 0, "y": 0, "w": 0.5, "h": 0.5}}, "without `crop`"),
        ({"like": ["a"], "unlike": ["a"]}, "cannot be in `like` or `item_id`: a"),
        ({"item_id": "a", "unlike": ["a"]}, "cannot be in `like` or `item_id`: a"),
        ({"item_id": "a", "none_of": [{}]}, "is empty, so everything satisfies it"),
        ({"item_id": "a", "any_of": [{"brand": ["Acme"]}, {}]}, "is empty, so everything satisfies it"),
        ({"item_id": "a", "group_size": 2}, "`group_size` needs `collapse`"),
        ({"item_id": "a", "offset": 95, "diversity": 0.1}, "`offset` + `top_k` is at most 100"),
        ({"item_id": "a", "offset": 95, "boosts": {"in_stock": 0.1}}, "`offset` + `top_k` is at most 100"),
        ({"item_id": "a", "offset": 901}, "offset"),
        ({"item_id": "a", "boosts": {"recency": 0.3}}, "recency"),
        ({"item_id": "a", "boosts": {"price": 0.1}}, "needs `near_price`, `price_spread` and `currency`"),
        ({"item_id": "a", "boosts": {**NEAR, "currency": None}}, "needs `near_price`"),
        ({"item_id": "a", "boosts": {"near_price": 5}}, "set it above 0"),
    ],
    ids=str,
)
def test_searches_that_make_no_sense_say_why(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ask(**fields)
    assert message in describe(refused.value)
