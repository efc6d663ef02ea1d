"""Words of a search: the text of a request, and how each of its words was understood."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.model import Model

LONGEST_TEXT = 300
MOST_WORDS = 60
"""Most words of a text that are read; a sentence has about 20."""
WordKind = Literal[
    "category", "colour", "brand", "creator", "tag", "attribute", "pattern", "price", "word", "meaning", "unknown"
]
VariationKind = Literal["colour", "price", "pattern", "category", "brand"]
WordText = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]


class UnderstoodWord(Model):
    """One or more neighbouring words of the text of a search, and how they were understood."""

    text: str = Field(description="The words as they stand in the text, without those of a negation")
    kind: WordKind = Field(
        description="category, colour, brand, creator, tag, attribute, pattern or price: a filter. word: matched "
        "to the titles, tags and attributes of items. meaning: no item has the word, and the encoder's text tower "
        "compares its meaning with the pictures. unknown: not understood, without effect"
    )
    field: str | None = Field(None, description="Field that was filtered by, if it is one")
    values: tuple[str, ...] = Field((), description="Values of the field that match, or words that are matched")
    negated: bool = Field(default=False, description="Whether hits must not match it")
    corrected: str | None = Field(None, description="Word that was read instead, if the text has a small typo")
    dropped: bool = Field(default=False, description="Whether it was not filtered by")
    reason: Literal["too_few_hits", "ignored", "not_indexed"] | None = Field(
        None,
        description="Why it has no effect. too_few_hits: no hit would be left. ignored: the request said so. "
        "not_indexed: no item is known to have this word, but some were indexed before searches by words",
    )


class Variation(Model):
    """A fact by which neighbours of the item that is searched by differ from it, and the words that ask for it."""

    kind: VariationKind = Field(description="Kind of the fact, as of understood words")
    value: str = Field(description="Value of the fact; of a price its bounds, such as ..20 EUR")
    negated: bool = Field(default=False, description="Whether it is the item that has the value")
    text: str = Field(
        max_length=LONGEST_TEXT, description="Text that asks for it too: send it as `text`, with the same `item_id`"
    )
    count: int = Field(ge=1, description="Number of items that have it, among the 100 nearest ones")
