"""A search from the command line: what is asked, and how its answer is shown."""

import uuid
from contextlib import closing
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.console import BadInput, counted, printable
from infra.images import Images
from infra.settings import Images as ImageSettings
from producers.pictures import MAX_FILE_BYTES, inline
from schemas.envelope import describe
from schemas.failures import Rejected
from schemas.items import InlineImage, S3Image, UrlImage
from schemas.searches import Hit, SearchRequest, SearchResult, SearchTimes

ITEM = "item:"
NUMBERS = ("#", "confidence", "score", "price")
"""Columns of the table that stand on the right."""


def query_of(text: str) -> dict[str, object]:
    """The field of a SearchRequest that a query fills: `item:ID`, an http(s) or s3 address, or a picture file."""
    if text.startswith(ITEM):
        return {"item_id": text.removeprefix(ITEM)}
    try:
        if text.startswith(("http://", "https://")):
            return {"image": UrlImage(url=text)}
        if text.startswith("s3://"):
            bucket, _, key = text.removeprefix("s3://").partition("/")
            return {"image": S3Image(bucket=bucket, key=key)}
    except ValidationError as error:
        raise BadInput(f"{text}: {describe(error)}") from None
    return {"image": read_picture(Path(text))}


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
    with closing(Images(settings)) as images:
        found = images.fetch(request.image)
    return found if isinstance(found, bytes) else None


def show(result: SearchResult, seconds: float, console: Console) -> None:
    """The answer for people: a table of hits, what was wrong if anything was, and the times."""
    if result.hits:
        console.print(_table(result))
    if result.categories:
        console.print(printable(f"looks like {_likely(result)}"), markup=False, soft_wrap=True)
    if result.status != "ok":
        message = f": {result.message}" if result.message else ""
        console.print(printable(f"{result.status}{message}"), markup=False, soft_wrap=True)
    console.print(
        f"{counted(len(result.hits), 'hit', 'hits')} in {seconds * 1000:.0f} ms ({_times(result.times)})",
        soft_wrap=True,
    )


def _times(times: SearchTimes) -> str:
    return ", ".join(f"{name} {getattr(times, name):.0f}" for name in SearchTimes.model_fields)


def _likely(result: SearchResult) -> str:
    return ", ".join(f"{likely.name} ({likely.confidence:.0%})" for likely in result.categories)


def _table(result: SearchResult) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("#", "confidence", "score", "title", "item", "category", "colours", "price"):
        table.add_column(name, justify="right" if name in NUMBERS else "left", overflow="fold")
    for rank, hit in enumerate(result.hits, 1):
        table.add_row(*(escape(printable(cell)) for cell in _cells(rank, hit)))
    return table


def _cells(rank: int, hit: Hit) -> tuple[str, ...]:
    price = "" if hit.price is None else f"{hit.price:.2f} {hit.currency or ''}".strip()
    colours = ", ".join(hit.colours)
    numbers = str(rank), f"{hit.confidence:.0%}", f"{hit.score:.3f}"
    return *numbers, hit.title or "", hit.item_id, _category(hit), colours, price


def _category(hit: Hit) -> str:
    """A predicted category has a question mark."""
    return f"{hit.category or ''}{'' if hit.category_confidence is None else '?'}"
