"""Search and facet counts on the command line: build the request, and print its result."""

import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.config.errors import BadInput
from infra.config.images import ImageSettings
from infra.config.settings import read_settings
from infra.console import format_count, printable
from producers.image_packer import embed, open_shrinker
from schemas.envelope import describe
from schemas.facets import FacetsRequest, FacetsResult
from schemas.failures import Rejected
from schemas.items import ImageRef, InlineImage, S3Image, UrlImage
from schemas.results import LOW_COVERAGE, Hit, Likely, SearchResult, SearchTimes
from schemas.searches import Crop, SearchRequest
from schemas.words import UnderstoodWord, Variation

ITEM = "item:"
PARTS = ("object", "style", "colour", "boost", "points")
FACTS = ("title", "item", "category", "colours", "price")
"""Columns of the table: components of the score, and facts about the hit."""
Request = TypeVar("Request", SearchRequest, FacetsRequest)


def query_of(texts: Sequence[str]) -> dict[str, object]:
    """The fields of a SearchRequest for the query arguments; raises BadInput.

    Each text is `item:ID`, an http(s) or s3 URL, or a picture file. Several items, or items together with
    pictures, become `like`: hits should resemble them.
    """
    items = tuple(text.removeprefix(ITEM) for text in texts if text.startswith(ITEM))
    pictures = tuple(_picture_of(text) for text in texts if not text.startswith(ITEM))
    if len(items) == 1 and not pictures:
        return {"item_id": items[0]}
    return {"image": pictures[0] if pictures else None, "more_images": pictures[1:], "like": items}


def _picture_of(text: str) -> ImageRef:
    try:
        if text.startswith(("http://", "https://")):
            return UrlImage(url=text)
        if text.startswith("s3://"):
            bucket, _, key = text.removeprefix("s3://").partition("/")
            return S3Image(bucket=bucket, key=key)
    except ValidationError as error:
        raise BadInput(f"{text}: {describe(error)}") from None
    return read_picture(Path(text))


def read_picture(path: Path) -> InlineImage:
    """Embed a picture file in a request, shrunk if it is too large; raises BadInput."""
    settings = read_settings().images
    try:
        if path.stat().st_size > settings.max_bytes:
            raise BadInput(f"{path} has more than {settings.max_bytes} bytes: give a smaller picture")
        with open_shrinker(settings) as shrink:
            return embed(path.read_bytes(), shrink)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise BadInput(f"{path} cannot be read ({reason}): give a picture file, an address, or item:ID") from None
    except Rejected as failure:
        raise BadInput(f"{path}: {failure.message}") from None


def make_request(**fields: object) -> SearchRequest:
    """A search request with a new id; fields that are None are omitted. Raises BadInput."""
    return _validate(SearchRequest, fields, "the search is invalid")


def make_facets_request(**fields: object) -> FacetsRequest:
    """A facets request with a new id; fields that are None are omitted. Raises BadInput."""
    return _validate(FacetsRequest, fields, "the count request is invalid")


def _validate(kind: type[Request], fields: Mapping[str, object], refusal: str) -> Request:
    present = {name: value for name, value in fields.items() if value is not None}
    try:
        return kind.model_validate({"request_id": str(uuid.uuid4()), **present})
    except ValidationError as error:
        raise BadInput(f"{refusal}: {describe(error)}") from None


def picture_of(request: SearchRequest, settings: ImageSettings) -> bytes | None:
    """Fetch the query picture of a request for display; None if there is none, or it cannot be fetched."""
    if request.image is None:
        return None
    from infra.fetching.fetcher import (
        ImageFetcher,
    )  # imported here, because only this function needs its HTTP libraries
    from infra.fetching.local_files import for_tenant

    with closing(ImageFetcher(settings)) as images:
        found = images.fetch(for_tenant(request.image, request.tenant))
    return found if isinstance(found, bytes) else None


def show(result: SearchResult, seconds: float, console: Console) -> None:
    """Print the result: a table of hits, added or relaxed filters, an error message if any, and the times."""
    if result.hits:
        console.print(_table(result.hits))
    for line in (*describe_words(result.understood), *_describe_variations(result.variations)):
        console.print(printable(line), markup=False, soft_wrap=True)
    if result.categories:
        console.print(printable(f"looks like {_category_list(result.categories)}"), markup=False, soft_wrap=True)
    if result.hits and result.coverage is not None and result.coverage < LOW_COVERAGE:
        warning = (
            f"perhaps nothing of this kind is in the index (coverage {result.coverage:.0%}): the nearest items"
        )
        console.print(warning, markup=False, soft_wrap=True)
    if result.metric is not None:
        console.print(printable(f"metric of the collection: {result.metric}"), markup=False, soft_wrap=True)
    for label, filters in (
        ("narrowed to", result.added),
        ("too few hits, no longer narrowed to", result.relaxed),
    ):
        if filters is not None:
            values = ", ".join((*filters.category, *filters.colours))
            console.print(printable(f"{label} {values}"), markup=False, soft_wrap=True)
    for number, region in enumerate(result.regions, 1):
        kind = _category_list(region.categories) or "of no known kind"
        console.print(printable(f"thing {number} at {_place(region.box)}: {kind}"), markup=False, soft_wrap=True)
        console.print(_table(region.hits) if region.hits else "no similar item")
    if result.status != "ok":
        message = f": {result.message}" if result.message else ""
        console.print(printable(f"{result.status}{message}"), markup=False, soft_wrap=True)
    count = format_count(len(result.hits), "hit", "hits") + (", and more" if result.more else "")
    console.print(f"{count} in {seconds * 1000:.0f} ms ({_times(result.times)})", soft_wrap=True)


def describe_words(words: Sequence[UnderstoodWord]) -> list[str]:
    """Return lines that say how each word of a text was understood, and which were not."""
    effective = [word for word in words if word.kind != "unknown" and not word.dropped]
    lines = [f"understood {', '.join(map(_describe_word, effective))}"] if effective else []
    dropped = [_describe_word(word) for word in words if word.reason == "too_few_hits"]
    lines += [f"nothing would be left, so not filtered by {', '.join(dropped)}"] if dropped else []
    unknown = [word.text for word in words if word.kind == "unknown" and word.reason is None]
    lines += [f"not understood: {', '.join(unknown)}"] if unknown else []
    unindexed = ", ".join(word.text for word in words if word.reason == "not_indexed")
    remedy = "some items were indexed before searches by words, and `lookstream reindex` gives them theirs"
    return lines + ([f"not found: {unindexed}; {remedy}"] if unindexed else [])


def _describe_word(word: UnderstoodWord) -> str:
    value = ", ".join(word.values[:3]) + (", ..." if len(word.values) > 3 else "")
    corrected = f", read as {word.corrected}" if word.corrected else ""
    reading = f"{word.kind} {value}".rstrip()
    return f"{'not ' if word.negated else ''}{word.text} ({reading}{corrected})"


def _describe_variations(variations: Sequence[Variation]) -> list[str]:
    """Return a line for each kind: the texts for --text, and the number of items that each finds."""
    kinds = {each.kind: [one for one in variations if one.kind == each.kind] for each in variations}
    return [
        f"more like this, by {kind}: {', '.join(f'{each.text!r} ({each.count})' for each in found)}"
        for kind, found in kinds.items()
    ]


def show_counts(result: FacetsResult) -> None:
    """Print the counts as a table, or the error."""
    console = Console(highlight=False)
    if result.status != "ok":
        console.print(printable(f"{result.status}: {result.message or ''}"), markup=False, soft_wrap=True)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("field")
    table.add_column("value", overflow="fold")
    table.add_column("items", justify="right")
    for name, counts in result.counts.items():
        for count in counts:
            table.add_row(name, escape(printable(count.value)), str(count.count))
    console.print(table)


def _times(times: SearchTimes) -> str:
    return ", ".join(f"{name} {getattr(times, name):.0f}" for name in SearchTimes.model_fields)


def _category_list(categories: Sequence[Likely]) -> str:
    return ", ".join(f"{category.name} ({category.confidence:.0%})" for category in categories)


def _place(crop: Crop) -> str:
    """The part of the picture as --crop takes it."""
    return ",".join(f"{share:.2f}" for share in (crop.x, crop.y, crop.w, crop.h))


def _table(hits: Sequence[Hit]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    explained = any(hit.explained for hit in hits)
    names = ("#", "confidence", "same item", "score", *(PARTS if explained else ()), *FACTS)
    for name in names:
        table.add_column(name, justify="left" if name in FACTS[:-1] else "right", overflow="fold")
    for rank, hit in enumerate(hits, 1):
        same_item = "" if hit.same_item is None else f"{hit.same_item:.0%}"
        parts = _score_parts(hit) if explained else ()
        numbers = str(rank), f"{hit.confidence:.0%}", same_item, f"{hit.score:.3f}", *parts
        table.add_row(*(escape(printable(cell)) for cell in (*numbers, *_facts(hit))))
    return table


def _score_parts(hit: Hit) -> tuple[str, ...]:
    """The components of the score, all boosts as one sum, and how many keypoints agree, if they were compared."""
    components = hit.explained
    if components is None:
        return ()
    cosines = (f"{cosine:.2f}" for cosine in (components.object, components.style, components.colour))
    return *cosines, f"+{hit.boost:.2f}", "" if components.matches is None else str(len(components.matches))


def _facts(hit: Hit) -> tuple[str, ...]:
    price = "" if hit.price is None else f"{hit.price:.2f} {hit.currency or ''}".strip()
    return _title(hit), hit.item_id, _category(hit), ", ".join(hit.colours), price


def _title(hit: Hit) -> str:
    """The title, and where in the item's pictures the thing is that matches, if no whole picture does."""
    place = "" if hit.box is None else f"(in its picture {hit.image + 1} at {_place(hit.box)})"
    return f"{hit.title or ''} {place}".strip()


def _category(hit: Hit) -> str:
    """The category; a predicted one is marked with a question mark."""
    return f"{hit.category or ''}{'' if hit.category_confidence is None else '?'}"
