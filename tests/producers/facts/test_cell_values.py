"""Cell values: the texts in cells of every shape."""

from contextlib import suppress
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.facts.cell_values import (
    MOST_TEXTS,
    first_text,
    parse_embedded,
    quoted,
    split_list,
    text_of,
    texts_of,
)


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        (None, []),
        ("", []),
        (" a ", ["a"]),
        (True, ["true"]),
        (12, ["12"]),
        (Decimal("1.50"), ["1.50"]),
        (date(2026, 1, 31), ["2026-01-31"]),
        (["a", None, "", "b"], ["a", "b"]),
        ([["a"], "b"], ["a", "b"]),
        ('["a", "b"]', ["a", "b"]),
        ('[1.50, "b"]', ["1.50", "b"]),
        ("[Sale] Shirt", ["[Sale] Shirt"]),
        ("{size}", ["{size}"]),
        ({"name": "Acme"}, ["Acme"]),
        ({"@type": "Brand", "name": "Acme"}, ["Acme"]),
        ('{"name": "Acme"}', ["Acme"]),
        ([{"value": "a"}, {"label": "b"}], ["a", "b"]),
        ({"@value": "a", "@language": "en"}, ["a"]),
        ({"#text": "a"}, ["a"]),
    ],
)
def test_a_cell_is_text_a_list_an_object_or_json(cell: object, texts: list[str]) -> None:
    assert texts_of(cell) == texts


@pytest.mark.parametrize(
    "cell", [{"x": 1}, [{"x": 1}], b"bytes", object(), [[[[["deep"]]]]], {"name": {"name": {}}}]
)
def test_other_values_are_refused(cell: object) -> None:
    with pytest.raises(ValueError, match="it is "):
        texts_of(cell)


def test_a_list_is_read_to_its_limit() -> None:
    assert len(texts_of(["a"] * 10 * MOST_TEXTS)) == MOST_TEXTS


def test_of_several_texts_the_first_is_used_and_the_others_are_named() -> None:
    assert first_text("a") == ("a", None)
    assert first_text(["a", "a"]) == ("a", None)
    assert first_text(["a", "b", "a"]) == ("a", "of 2 values the first is used")
    assert first_text([]) == ("", None)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a, b,,c", ["a", "b", "c"]),
        ("a|b", ["a", "b"]),
        ("a; b", ["a", "b"]),
        ("a\nb", ["a", "b"]),
        ("a b", ["a b"]),
        ("", []),
        ("a|b, c", ["a|b", "c"]),
    ],
)
def test_a_list_as_text_has_one_separator(text: str, parts: list[str]) -> None:
    assert split_list(text) == parts


def test_deeply_nested_json_stays_text() -> None:
    text = "[" * 100_000 + "]" * 100_000
    assert parse_embedded(text) == text


def test_a_value_in_a_message_is_short_and_valid_text() -> None:
    assert quoted("x" * 100) == f"`{'x' * 80}…`"
    assert quoted({"a": 1}) == '`{"a": 1}`'
    assert quoted("a\ud800").encode() == b"`a?`"


json_values = st.recursive(
    st.none() | st.booleans() | st.text(max_size=10) | st.integers() | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "value", "x"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(json_values)
def test_no_value_breaks_the_reading(value: object) -> None:
    with suppress(ValueError):
        assert all(texts_of(value))
    with suppress(ValueError):
        text_of(value)
    quoted(value)
