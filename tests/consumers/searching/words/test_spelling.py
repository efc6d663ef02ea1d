"""Words that differ by one letter."""

import pytest

from consumers.searching.words.spelling import make_spelling

WORDS = make_spelling(("shirt", "skirt", "trousers", "cap", "handbag"))


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("shirrt", ["shirt"]), ("shrit", ["shirt"]), ("trouser", ["trousers"]), ("hantbag", ["handbag"]),
        ("sxirt", ["shirt", "skirt"]), ("shirt", ["skirt"]), ("cup", []), ("handgab", []), ("xyzzy", []), ("", []),
    ],
)  # fmt: skip
def test_words_at_one_edit_are_found(word: str, found: list[str]) -> None:
    assert list(WORDS.correct(word)) == found
