"""A catalogue of flags and signs, which the quick encoder distinguishes, and a search by picture."""

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from consumers.searching.search_handler import SearchHandler
from schemas.envelope import Event
from schemas.items import InlineImage, ItemUpserted
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_RESULTS

if TYPE_CHECKING:
    from tests.consumers.conftest import Outbox

KINDS = {"rgbk": "flag", "bkyr": "sign"}
"""The colours of each category's four quarters."""
SHADES = {"r": (200, 30, 30), "g": (30, 180, 60), "b": (40, 60, 200), "k": (20, 20, 20), "y": (230, 210, 40)}


def portrait(number: int, quarters: str) -> bytes:
    """A picture of four quarters in these colours, slightly different for each number."""
    rng = np.random.default_rng(number)
    fields = [np.array(SHADES[letter]) + rng.integers(-15, 16, 3) for letter in quarters]
    pixels = np.array(fields, np.int64).reshape(2, 2, 3).repeat(32, 0).repeat(32, 1)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def items(first: int, count: int, **facts: object) -> list[Event]:
    """Upserts of flags (even numbers) and signs (odd ones)."""
    events = []
    for number in range(first, first + count):
        quarters = list(KINDS)[number % 2]
        picture = InlineImage(data=portrait(number, quarters))
        about = {"item_id": f"i{number}", "revision": 1, "images": (picture,), "category": KINDS[quarters]} | facts
        events.append(Event(ItemUpserted.model_validate(about)))
    return events


def search(job: SearchHandler, outbox: "Outbox", picture: bytes, **more: object) -> SearchResult:
    """The one answer to a search by a picture."""
    outbox.sent.clear()
    request_fields = {"request_id": "q", "image": InlineImage(data=picture)} | more
    assert job.handle([Event(SearchRequest.model_validate(request_fields))]) == {}
    [result] = outbox.bodies(SEARCH_RESULTS)
    assert isinstance(result, SearchResult)
    return result
