"""Catalog feeds: turn rows with the columns of Google's product data specification into item events."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from pydantic import ValidationError

from infra.futures import map_in_order
from producers.column_mapping import ATTRIBUTE
from producers.feed_formats import read_feed
from producers.image_refs import Locate, image_reference, refuse_paths, threads_for
from producers.row_reader import BadRow, FeedRow, Json, SkippedRow, parse_time, revisions
from schemas.envelope import describe
from schemas.failures import Failure
from schemas.items import MAX_IMAGES, ImageRef, ItemUpserted

BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
AVAILABILITY = {"in_stock": True, **BOOLEANS, "out_of_stock": False, "preorder": False, "backorder": False}
PRICE = re.compile(r"(?:([A-Z]{3})\s*)?(\d+(?:\.\d{1,4})?)(?:\s*([A-Z]{3}))?", re.ASCII)


@dataclass(frozen=True)
class CatalogFormat:
    """How to read a catalog: `columns` (our field -> its column), how to locate pictures, and row defaults."""

    columns: Mapping[str, str]
    locate: Locate = refuse_paths
    tenant: str = "default"
    currency: str | None = None
    """ISO 4217 code for prices without a currency."""


def read_catalog(path: Path, catalog_format: CatalogFormat) -> Iterator[ItemUpserted | BadRow | SkippedRow]:
    """The items of a catalog, in order; an invalid row becomes a BadRow, and reading continues."""
    numbered = zip(read_feed(path), revisions(), strict=False)

    def item_of(pair: tuple[FeedRow | BadRow | SkippedRow, int]) -> ItemUpserted | BadRow | SkippedRow:
        row, revision = pair
        return read_item(row, catalog_format, revision) if isinstance(row, FeedRow) else row

    yield from map_in_order(item_of, numbered, threads_for(catalog_format.locate))


def read_item(row: FeedRow, catalog_format: CatalogFormat, revision: int) -> ItemUpserted | BadRow:
    """The item of a row; `revision` applies unless the row has its own."""
    cells = CatalogCells(row.cells, catalog_format.columns)
    try:
        facts = {name: value for name, value in _facts(cells, catalog_format).items() if value is not None}
        identity = {
            "tenant": catalog_format.tenant,
            "item_id": cells.required("item_id"),
            "images": _images(cells, catalog_format),
        }
        return ItemUpserted.model_validate({"revision": revision, **facts, **identity})
    except ValidationError as error:
        return BadRow(row.line, describe(error))
    except (Failure, ValueError) as error:
        return BadRow(row.line, str(error))


@dataclass(frozen=True)
class CatalogCells:
    """The cells of one row by the names of our fields; missing cells are None or empty."""

    row: Mapping[str, Json]
    columns: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """The cell as text; a list is joined by commas."""
        return ",".join(self.texts(name, split=None)).strip() or None

    def texts(self, name: str, split: str | None = ",") -> list[str]:
        """The parts of a cell: the elements of a list, or a text split at `split`."""
        value = self.row.get(self.columns.get(name, ""))
        if isinstance(value, list):
            return [text for text in map(_as_text, value) if text]
        text = _as_text(value)
        return [part.strip() for part in (text.split(split) if split else [text]) if part.strip()]

    def required(self, name: str) -> str:
        """The cell as text; raises ValueError if it is empty."""
        text = self.text(name)
        if text is None:
            raise ValueError(f"column `{self.columns[name]}` is empty: every item needs its {name}")
        return text


def _facts(cells: CatalogCells, catalog_format: CatalogFormat) -> dict[str, object]:
    """The fields of a row besides its id and pictures; None for missing ones."""
    category = _category_path(cells)
    price, currency = _price(cells.text("price"), cells.text("currency") or catalog_format.currency)
    created_at, revision = cells.text("created_at"), cells.text("revision")
    return {
        "title": cells.text("title"),
        "price": price,
        "currency": currency,
        "in_stock": _stock(cells.text("in_stock")),
        "category": category[-1] if category else None,
        "brand": cells.text("brand"),
        "tags": tuple(cells.texts("tags")),
        "moderation": _moderation_labels(cells),
        "created_at": None if created_at is None else parse_time(created_at),
        "url": cells.text("url"),
        "revision": None if revision is None else _integer(revision),
        "attributes": _attributes(cells),
    }


def _images(cells: CatalogCells, catalog_format: CatalogFormat) -> tuple[ImageRef, ...]:
    """The pictures of a row, the main one first. Google allows 11, an event 8: the first 8 are used."""
    texts = [cells.required("image"), *cells.texts("additional_images")]
    return tuple(image_reference(text, catalog_format.locate) for text in texts[:MAX_IMAGES])


def _attributes(cells: CatalogCells) -> dict[str, str]:
    """The mapped attributes, and the parts of product_type and availability that our fields cannot hold."""
    names = [name for name in cells.columns if name.startswith(ATTRIBUTE)]
    found = {name.removeprefix(ATTRIBUTE): cells.text(name) for name in names}
    category = _category_path(cells)
    if len(category) > 1:
        found["product_type"] = " > ".join(category)
    stock = _keyword(cells.text("in_stock"))
    if stock in ("preorder", "backorder"):
        found["availability"] = stock
    return {name: text for name, text in found.items() if text is not None}


def _category_path(cells: CatalogCells) -> list[str]:
    """The parts of a category in Google's notation, `Clothing > Shoes > Boots`; the last is the most specific."""
    return [part.strip() for part in (cells.text("category") or "").split(">") if part.strip()]


def _price(text: str | None, currency: str | None) -> tuple[Decimal | None, str | None]:
    """Price and currency of `19.99 EUR`, `EUR 19.99`, or `19.99` with the given `currency`."""
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


def _moderation_labels(cells: CatalogCells) -> tuple[str, ...]:
    """The moderation labels; Google's `adult` column adds one."""
    adult = _boolean("adult", cells.text("adult"))
    return tuple(dict.fromkeys([*cells.texts("moderation"), *(["adult"] if adult else [])]))


def _boolean(name: str, text: str | None) -> bool | None:
    found = BOOLEANS.get(_keyword(text)) if text else None
    if text and found is None:
        raise ValueError(f"{name} `{text[:80]}` is none of {', '.join(BOOLEANS)}")
    return found


def _stock(text: str | None) -> bool | None:
    """Whether the item is in stock; preorder and backorder are not."""
    if text is None:
        return None
    found = AVAILABILITY.get(_keyword(text))
    if found is None:
        raise ValueError(f"availability `{text[:80]}` is none of {', '.join(AVAILABILITY)}")
    return found


def _integer(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"revision `{text[:80]}` is not a whole number")
    return int(text[:20])


def _keyword(text: str | None) -> str:
    return (text or "").strip().lower().replace(" ", "_")


def _as_text(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value.strip()
    raise ValueError(f"a cell is {type(value).__name__}, not text, number or a list of them")
