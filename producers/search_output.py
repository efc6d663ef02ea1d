"""A search from the command line: what is asked, and how its answer is shown."""

import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.config.settings import ImageSettings
from infra.console import BadInput, counted, printable
from producers.image_refs import MAX_FILE_BYTES, inline
from schemas.envelope import describe
from schemas.failures import Rejected
from schemas.items import ImageRef, InlineImage, S3Image, UrlImage
from schemas.results import Hit, SearchResult, SearchTimes
from schemas.searches import SearchRequest

ITEM = "item:"
PARTS = ("object", "style", "colour", "boost")
FACTS = ("title", "item", "category", "colours", "price")
"""Columns of the table: of what a score is made, and what is known of the hit."""


def query_of(texts: Sequence[str]) -> dict[str, object]:
    """The fields of a SearchRequest that a query fills; raises BadInput.

    Each text is `item:ID`, an http(s) or s3 address, or a picture file. Items beside pictures, and several items,
    are what hits shall resemble.
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
    """A picture file as it travels in a request, shrunk when it must be; raises BadInput."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadInput(f"{path} has more than {MAX_FILE_BYTES} bytes: give a smaller picture")
        return inline(path.read_bytes())
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise BadInput(f"{path} cannot be read ({reason}): give a picture file, an address, or item:ID") from None
    except Rejected as failure:
        raise BadInput(f"{path}: {failure.message}") from None


def make_request(**fields: object) -> SearchRequest:
    """A request with an id of its own; fields that are None are left out. Raises BadInput."""
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return SearchRequest.model_validate({"request_id": str(uuid.uuid4()), **given})
    except ValidationError as error:
        raise BadInput(f"this search makes no sense: {describe(error)}") from None


def picture_of(request: SearchRequest, settings: ImageSettings) -> bytes | None:
    """The picture that a request asks by, to be shown; None when there is none, or it cannot be had."""
    if request.image is None:
        return None
    from infra.fetching.fetcher import ImageFetcher  # its libraries for the web are needed for this alone
    from infra.fetching.local_files import for_tenant

    with closing(ImageFetcher(settings)) as images:
        found = images.fetch(for_tenant(request.image, request.tenant))
    return found if isinstance(found, bytes) else None


def show(result: SearchResult, seconds: float, console: Console) -> None:
    """The answer for people: a table of hits, what was wrong if anything was, and the times."""
    if result.hits:
        console.print(_table(result))
    if result.categories:
        console.print(printable(f"looks like {_likely(result)}"), markup=False, soft_wrap=True)
    for said, filters in (
        ("narrowed to", result.added),
        ("too few hits, no longer narrowed to", result.relaxed),
    ):
        if filters is not None:
            words = ", ".join((*filters.category, *filters.colours))
            console.print(printable(f"{said} {words}"), markup=False, soft_wrap=True)
    if result.status != "ok":
        message = f": {result.message}" if result.message else ""
        console.print(printable(f"{result.status}{message}"), markup=False, soft_wrap=True)
    count = counted(len(result.hits), "hit", "hits") + (", and more" if result.more else "")
    console.print(f"{count} in {seconds * 1000:.0f} ms ({_times(result.times)})", soft_wrap=True)


def _times(times: SearchTimes) -> str:
    return ", ".join(f"{name} {getattr(times, name):.0f}" for name in SearchTimes.model_fields)


def _likely(result: SearchResult) -> str:
    return ", ".join(f"{likely.name} ({likely.confidence:.0%})" for likely in result.categories)


def _table(result: SearchResult) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    explained = any(hit.explained for hit in result.hits)
    names = ("#", "confidence", "score", *(PARTS if explained else ()), *FACTS)
    for name in names:
        table.add_column(name, justify="left" if name in FACTS[:-1] else "right", overflow="fold")
    for rank, hit in enumerate(result.hits, 1):
        numbers = str(rank), f"{hit.confidence:.0%}", f"{hit.score:.3f}", *(_parts(hit) if explained else ())
        table.add_row(*(escape(printable(cell)) for cell in (*numbers, *_facts(hit))))
    return table


def _parts(hit: Hit) -> tuple[str, ...]:
    """What the score is made of; the boosts together."""
    told = hit.explained
    return () if told is None else (*(f"{getattr(told, part):.2f}" for part in PARTS[:-1]), f"+{hit.boost:.2f}")


def _facts(hit: Hit) -> tuple[str, ...]:
    price = "" if hit.price is None else f"{hit.price:.2f} {hit.currency or ''}".strip()
    return hit.title or "", hit.item_id, _category(hit), ", ".join(hit.colours), price


def _category(hit: Hit) -> str:
    """A predicted category has a question mark."""
    return f"{hit.category or ''}{'' if hit.category_confidence is None else '?'}"
