"""Fact limits: what an event may not hold is cut or left out, and everything else stays."""

import pytest
from pydantic import ValidationError

from producers.facts.fact_limits import validate_with_limits
from schemas.items import ItemPatched, ItemUpserted, UrlImage

IDENTITY = {"item_id": "7", "revision": 1}
URL = (UrlImage(url="https://h.test/a.jpg"),)


def fitted(**facts: object) -> tuple[ItemUpserted, list[str]]:
    left_out: list[str] = []
    event = validate_with_limits(
        lambda fit: ItemUpserted.model_validate({**fit, **IDENTITY, "images": URL}),
        facts,
        {"title": "name"},
        left_out,
    )
    return event, left_out


def test_several_problems_of_several_facts_are_solved_together() -> None:
    event, left_out = fitted(title="x" * 600, tags=("a", "x" * 300, ""), price="x", currency="euros", brand="Acme")
    assert (len(event.title or ""), event.tags, event.price, event.currency) == (500, ("a",), None, None)
    assert event.brand == "Acme"
    assert [sentence.partition(":")[0] for sentence in left_out] == ["name", "price", "tags"]


def test_a_problem_that_hides_another_is_solved_before_it() -> None:
    event, left_out = fitted(tags=("x" * 300, *map(str, range(99))))
    assert len(event.tags) == 49
    assert len(left_out) == 2


def test_an_attribute_may_have_any_name() -> None:
    event, left_out = fitted(
        attributes={"facts": "x" * 600, "attributes": "\ud800", "n" * 300: "x", "": "x", "a": "b"}
    )
    assert event.attributes == {"facts": "x" * 500, "a": "b"}
    assert len(left_out) == 4


def test_facts_of_a_patch_are_cut_too() -> None:
    left_out: list[str] = []
    event = validate_with_limits(
        lambda fit: ItemPatched.model_validate({**IDENTITY, "facts": fit}), {"title": "x" * 600}, {}, left_out
    )
    assert len(event.facts.title or "") == 500
    assert left_out == ["title: 600 characters are cut to 500"]


def test_what_is_no_fact_is_refused() -> None:
    with pytest.raises(ValidationError, match="item_id"):
        validate_with_limits(
            lambda fit: ItemUpserted.model_validate({**fit, "item_id": "", "revision": 1, "images": URL}),
            {"title": "x" * 600},
            {},
            [],
        )
