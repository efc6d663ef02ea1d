"""Messages that are counted by kind."""

import pytest

from producers.ingest.reason_counts import MAX_EXAMPLE, MAX_KINDS, MAX_PLACES, OTHER_KINDS, ReasonCounts, place_of


def kinds(*messages: str) -> list[tuple[str, int]]:
    counts = ReasonCounts()
    for n, message in enumerate(messages):
        counts.add(message, place_of(n + 1, ""))
    assert counts.total == len(messages)
    return [(reason.example, reason.count) for reason in counts]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("there is no picture file `a.png`", "there is no picture file `b c.png`"),
        ("column `image`: there is no file `a.png`", "column `image`: there is no file `b.png`"),
        ("price `1 EURO` is not a number", "price `x` is not a number"),
        ("the row has 7 cells, the header 5", "the row has 12 cells, the header 5"),
        ("the line is not JSON: it starts '{a'", "the line is not JSON: it starts 'b'"),
        ('size: "x" is left out', 'size: "yy" is left out'),
        ("`images.0.url` (str): it has 3 letters", "`images.1.url` (str): it has 4 letters"),
    ],
)
def test_messages_that_differ_in_a_value_are_of_one_kind(one: str, other: str) -> None:
    assert kinds(one, other) == [(one, 2)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("column `id` is empty", "column `image_link` is empty"),
        ("column `a`: there is no file `x`", "column `b`: there is no file `x`"),
        ("`title` (str): it is too long", "`brand` (str): it is too long"),
        ("the row is not UTF-8", "the row is not readable"),
    ],
)
def test_messages_about_different_fields_are_of_two_kinds(one: str, other: str) -> None:
    assert kinds(one, other, other) == [(other, 2), (one, 1)]


def test_the_places_of_the_first_ones_are_kept() -> None:
    counts = ReasonCounts()
    for n in range(MAX_PLACES + 3):
        reason = counts.add("it is empty", place_of(n + 2, ""))
    assert reason.places == [f"line {n + 2}" for n in range(MAX_PLACES)]
    assert counts.add("it is missing", place_of(0, "a.jpg")).places == ["a.jpg"]


def test_a_feed_that_makes_up_reasons_costs_no_memory() -> None:
    counts = ReasonCounts()
    for n in range(MAX_KINDS + 50):
        counts.add("z" * (n + 1) + "x" * 10_000, "")
    found = list(counts)
    assert len(found) == MAX_KINDS + 1
    assert (found[0].example, found[0].count) == (OTHER_KINDS, 50)
    assert max(len(reason.example) for reason in found) <= MAX_EXAMPLE
    assert counts.total == MAX_KINDS + 50
