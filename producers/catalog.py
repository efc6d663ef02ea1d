"""Catalog feeds: rows in the columns of Google's Merchant product data specification become item events."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from pydantic import ValidationError

from producers.column_mapping import ATTRIBUTE
from producers.feed_formats import read_feed
from producers.image_refs import Locate, nowhere, reference
from producers.row_reader import BadRow, FeedRow, Json, SkippedRow, moment, revisions
from schemas.envelope import describe
from schemas.failures import Failure
from schemas.items import MAX_IMAGES, ImageRef, ItemUpserted

TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
STOCK = {"in_stock": True, **TRUTH, "out_of_stock": False, "preorder": False, "backorder": False}
PRICE = re.compile(r"(?:([A-Z]{3})\s*)?(\d+(?:\.\d{1,4})?)(?:\s*([A-Z]{3}))?", re.ASCII)


@dataclass(frozen=True)
class CatalogFormat:
    """How a catalog is read: `columns` (our field -> its column), where paths lead, and what rows leave out."""

    columns: Mapping[str, str]
    locate: Locate = nowhere
    tenant: str = "default"
    currency: str | None = None
    """ISO 4217 code of prices without one."""


def read_catalog(path: Path, reading: CatalogFormat) -> Iterator[ItemUpserted | BadRow | SkippedRow]:
    """The items of a catalog, in order; each row that cannot be one is a BadRow, and the rest goes on."""
    clock = revisions()
    for row in read_feed(path):
        yield read_item(row, reading, next(clock)) if isinstance(row, FeedRow) else row


def read_item(row: FeedRow, reading: CatalogFormat, revision: int) -> ItemUpserted | BadRow:
    """The item of a row, of this revision unless the row tells another."""
    cells = CatalogCells(row.cells, reading.columns)
    try:
        facts = {name: value for name, value in _facts(cells, reading).items() if value is not None}
        found = {"tenant": reading.tenant, "item_id": cells.needed("item_id"), "images": _images(cells, reading)}
        return ItemUpserted.model_validate({"revision": revision, **facts, **found})
    except ValidationError as error:
        return BadRow(row.line, describe(error))
    except (Failure, ValueError) as error:
        return BadRow(row.line, str(error))


@dataclass(frozen=True)
class CatalogCells:
    """One row's cells by our fields' names; what the row lacks is None or empty."""

    row: Mapping[str, Json]
    columns: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """The cell as text; a list is joined by commas."""
        return ",".join(self.texts(name, split=None)).strip() or None

    def texts(self, name: str, split: str | None = ",") -> list[str]:
        """The parts of a cell: those of a list, else of a text with `split` between them."""
        value = self.row.get(self.columns.get(name, ""))
        if isinstance(value, list):
            return [text for text in map(_as_text, value) if text]
        text = _as_text(value)
        return [part.strip() for part in (text.split(split) if split else [text]) if part.strip()]

    def needed(self, name: str) -> str:
        """The cell as text; raises ValueError when it is empty."""
        text = self.text(name)
        if text is None:
            raise ValueError(f"column `{self.columns[name]}` is empty: every item needs its {name}")
        return text


def _facts(cells: CatalogCells, reading: CatalogFormat) -> dict[str, object]:
    """What a row says besides identity and pictures; None where it says nothing."""
    category = _path_of(cells)
    price, currency = _price(cells.text("price"), cells.text("currency") or reading.currency)
    created_at, revision = cells.text("created_at"), cells.text("revision")
    return {
        "title": cells.text("title"),
        "price": price,
        "currency": currency,
        "in_stock": _stock(cells.text("in_stock")),
        "category": category[-1] if category else None,
        "brand": cells.text("brand"),
        "tags": tuple(cells.texts("tags")),
        "moderation": _labels(cells),
        "created_at": None if created_at is None else moment(created_at),
        "url": cells.text("url"),
        "revision": None if revision is None else _whole(revision),
        "attributes": _attributes(cells),
    }


def _images(cells: CatalogCells, reading: CatalogFormat) -> tuple[ImageRef, ...]:
    """The pictures of a row, the main one first. Google allows 11, an event 8: the first 8 count."""
    texts = [cells.needed("image"), *cells.texts("additional_images")]
    return tuple(reference(text, reading.locate) for text in texts[:MAX_IMAGES])


def _attributes(cells: CatalogCells) -> dict[str, str]:
    """The attributes with columns, and what our fields do not keep of product_type and availability."""
    names = [name for name in cells.columns if name.startswith(ATTRIBUTE)]
    found = {name.removeprefix(ATTRIBUTE): cells.text(name) for name in names}
    category = _path_of(cells)
    if len(category) > 1:
        found["product_type"] = " > ".join(category)
    stock = _word(cells.text("in_stock"))
    if stock in ("preorder", "backorder"):
        found["availability"] = stock
    return {name: text for name, text in found.items() if text is not None}


def _path_of(cells: CatalogCells) -> list[str]:
    """A category as Google writes it, `Clothing > Shoes > Boots`: the last part names the kind of thing."""
    return [part.strip() for part in (cells.text("category") or "").split(">") if part.strip()]


def _price(text: str | None, currency: str | None) -> tuple[Decimal | None, str | None]:
    """`19.99 EUR`, `EUR 19.99`, or `19.99` with a currency from elsewhere."""
    if text is None:
        return None, None
    found = PRICE.fullmatch(text)
    if found is None:
        raise ValueError(f"price `{text[:80]}` is not a number with a point and a currency, as 19.99 EUR")
    before, number, after = found.groups()
    code = after or before or currency
    if code is None:
        raise ValueError(f"price `{text[:80]}` has no currency: write 19.99 EUR, or give --currency EUR")
    return Decimal(number), code


def _labels(cells: CatalogCells) -> tuple[str, ...]:
    """Moderation labels; Google's `adult` is one."""
    adult = _truth("adult", cells.text("adult"))
    return tuple(dict.fromkeys([*cells.texts("moderation"), *(["adult"] if adult else [])]))


def _truth(name: str, text: str | None) -> bool | None:
    found = TRUTH.get(_word(text)) if text else None
    if text and found is None:
        raise ValueError(f"{name} `{text[:80]}` is none of {', '.join(TRUTH)}")
    return found


def _stock(text: str | None) -> bool | None:
    """Whether it lies in stock; what can only be ordered ahead does not."""
    if text is None:
        return None
    found = STOCK.get(_word(text))
    if found is None:
        raise ValueError(f"availability `{text[:80]}` is none of {', '.join(STOCK)}")
    return found


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"revision `{text[:80]}` is not a whole number")
    return int(text[:20])


def _word(text: str | None) -> str:
    return (text or "").strip().lower().replace(" ", "_")


def _as_text(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value.strip()
    raise ValueError(f"a cell is {type(value).__name__}, not text, number or a list of them")
