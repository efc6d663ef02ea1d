"""Answers of the tools: results in the form that a language model reads best, without vectors and pictures."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from schemas.results import LOW_COVERAGE, Hit, Likely, SearchResult
from schemas.words import UnderstoodWord

NO_MATCH = (
    "Nothing in the catalogue is like this. Set `strict` to false for the nearest items, or search otherwise."
)
FLAGGED = "Nothing quite like this seems to be sold here. The hits are the nearest items, perhaps of another kind."


class FoundItem(BaseModel):
    """An item that a search found."""

    item_id: str
    title: str | None = None
    category: str | None = None
    brand: str | None = None
    creator: str | None = None
    price: float | None = None
    currency: str | None = None
    in_stock: bool | None = None
    colours: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    url: str | None = None
    confidence: float = Field(description="How likely it is of the kind searched for, 0 to 1")
    same_item: float | None = Field(None, description="How likely it is the very item in the picture, 0 to 1")
    why: dict[str, float] | None = Field(None, description="Parts of its score, with `explain`")


class SearchAnswer(BaseModel):
    """The answer to a search."""

    status: str = Field(description="ok, no_match, rejected, expired or unavailable")
    items: tuple[FoundItem, ...] = Field((), description="The best first")
    more: bool = Field(default=False, description="Whether there are further items: raise `offset`")
    note: str | None = Field(None, description="What to know about the answer, or how to mend the request")
    likely_categories: dict[str, float] = Field({}, description="Categories of the picture, with their confidence")
    understood: dict[str, str] = Field({}, description="What became of each word of the text")
    things: tuple["FoundThing", ...] = Field(
        (), description="Each thing in the picture by itself, with `each_thing`"
    )


class FoundThing(BaseModel):
    """One thing in a picture, and the items like it."""

    box: tuple[float, float, float, float] = Field(description="Left, top, width and height, 0 to 1")
    items: tuple[FoundItem, ...] = ()
    likely_categories: dict[str, float] = {}
    note: str | None = None


def answer_of(result: SearchResult) -> SearchAnswer:
    """The answer of a result."""
    return SearchAnswer(
        status=result.status,
        items=_items(result.hits),
        more=result.more,
        note=_note(result),
        likely_categories=_categories(result.categories),
        understood={word.text: _meaning(word) for word in result.understood},
        things=tuple(
            FoundThing(
                box=(region.box.x, region.box.y, region.box.w, region.box.h),
                items=_items(region.hits),
                likely_categories=_categories(region.categories),
                note=_coverage_note(region.coverage),
            )
            for region in result.regions
        ),
    )


def _meaning(word: UnderstoodWord) -> str:
    if word.kind in ("word", "meaning", "unknown") or word.field is None:
        return word.kind if not word.dropped else f"{word.kind}, dropped: {word.reason}"
    negation = "not " if word.negated else ""
    meaning = f"{negation}{word.field} = {', '.join(word.values)}"
    return f"{meaning}, dropped: {word.reason}" if word.dropped else meaning


def _note(result: SearchResult) -> str | None:
    if result.message is not None:
        return result.message
    return NO_MATCH if result.status == "no_match" else _coverage_note(result.coverage)


def _coverage_note(coverage: float | None) -> str | None:
    return FLAGGED if coverage is not None and coverage < LOW_COVERAGE else None


def _categories(likely: Sequence[Likely]) -> dict[str, float]:
    return {category.name: round(category.confidence, 2) for category in likely}


def _items(hits: Sequence[Hit]) -> tuple[FoundItem, ...]:
    return tuple(_item(hit) for hit in hits)


def _item(hit: Hit) -> FoundItem:
    facts = hit.model_dump(include=set(FoundItem.model_fields) - {"confidence", "same_item", "why"})
    same = None if hit.same_item is None else round(hit.same_item, 2)
    why = None
    if hit.explained is not None:
        parts = hit.explained.model_dump(exclude={"matches"}, exclude_none=True)
        why = {"score": round(hit.score, 3)} | {name: round(part, 3) for name, part in parts.items() if part}
    return FoundItem(**facts, confidence=round(hit.confidence, 2), same_item=same, why=why)


class ItemCounts(BaseModel):
    """How many items have each value of each field."""

    counts: dict[str, dict[str, int]]


class WatchAnswer(BaseModel):
    """The standing searches after a call."""

    active: tuple[str, ...] = Field(description="Ids of the standing searches, the oldest first")
