"""Magento: turn the rows of a product export into rows with Google's columns.

A product that is visible is an item. A simple product that is not visible by itself belongs to the configurable,
grouped or bundle product that names its SKU, and gives it its pictures, the lowest of the prices, and the stock.
Rows of single store views are translations, and are skipped. Names of the columns: dialects.MAGENTO.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from producers.feeds.dialects import MAGENTO
from producers.feeds.variants import (
    deepest_path,
    is_true,
    lowest_price,
    number_of,
    option_cells,
    split_commas,
    text_of,
)
from producers.row_reader import FeedRow, Json, RowResult, SkippedRow

ATTRIBUTE = re.compile(r",(?=[A-Za-z_][\w.]*=)")
"""Separator of `additional_attributes`; values may hold commas too."""
COMPOSED = {"configurable", "grouped", "bundle"}
CHILD_SKU = re.compile(r"(?:^|[|,])\s*sku=([^,|]+)")
OPTION = re.compile(r"(?<!\w)(\w++)=([^,|]+)")
DATES = ("%m/%d/%y", "%m/%d/%Y", "%m/%d/%y, %I:%M %p", "%m/%d/%Y, %I:%M %p")
"""How Magento writes dates in exports."""
NO_PICTURE = {"no_selection", ""}


@dataclass(frozen=True)
class _Child:
    """The columns that a product which is not visible by itself gives to its parent."""

    line: int
    pictures: tuple[str, ...]
    price: str
    in_stock: bool | None


def read_products(rows: Iterator[RowResult]) -> Iterator[RowResult]:
    """The products of an export; those that consist of others at the end."""
    children: dict[str, _Child] = {}
    composed: list[FeedRow] = []
    for row in rows:
        if not isinstance(row, FeedRow):
            yield row
            continue
        reason = _why_skipped(row.cells)
        if reason is not None:
            yield SkippedRow(row.line, reason)
        elif "not visible" in text_of(row.cells, "visibility").lower():
            children[text_of(row.cells, "sku")] = _child(row)
        elif text_of(row.cells, "product_type").lower() in COMPOSED:
            composed.append(_product(row))
        else:
            yield _product(row)
    used: set[str] = set()
    for row in composed:
        names = [name for name in _children_of(row.cells) if name in children]
        used.update(names)
        yield _compose(row, [children[name] for name in names])
    for name, child in children.items():
        if name not in used:
            yield SkippedRow(child.line, "a product that is not visible by itself, and part of no other")


def _why_skipped(cells: Mapping[str, Json]) -> str | None:
    if text_of(cells, "store_view_code") not in ("", "default", "admin"):
        return "a translation of a product for one store view"
    return (
        "a product that is not on sale: it is offline" if text_of(cells, "product_online") in ("0", "2") else None
    )


def _text(cells: Mapping[str, Json], column: str) -> str:
    return text_of(cells, *MAGENTO.columns[column])


def _pictures(cells: Mapping[str, Json]) -> list[str]:
    names = [_text(cells, "image_link"), *text_of(cells, "additional_images").split(",")]
    return list(dict.fromkeys(name.strip() for name in names if name.strip() not in NO_PICTURE))


def _child(row: FeedRow) -> _Child:
    stock = _text(row.cells, "availability")
    price = text_of(row.cells, "special_price") or text_of(row.cells, "price")
    return _Child(row.line, tuple(_pictures(row.cells)), price, is_true(stock) if stock else None)


def _children_of(cells: Mapping[str, Json]) -> list[str]:
    """The SKUs that a product names as its parts."""
    named = [text_of(cells, column) for column in ("configurable_variations", "bundle_values")]
    found = [sku for text in named for sku in CHILD_SKU.findall(text)]
    associated = [part.partition("=")[0].strip() for part in text_of(cells, "associated_skus").split(",")]
    return list(dict.fromkeys(sku.strip() for sku in [*found, *associated] if sku.strip()))


def _compose(row: FeedRow, children: list[_Child]) -> FeedRow:
    """A product with the pictures, prices and stock of its parts."""
    cells = dict(row.cells)
    own = [text_of(cells, "image_link"), *(name for name in _as_list(cells["additional_image_link"]))]
    pictures = [
        name for name in dict.fromkeys([*own, *(name for each in children for name in each.pictures)]) if name
    ]
    cells |= {"image_link": "".join(pictures[:1]), "additional_image_link": pictures[1:]}
    prices = [child.price for child in children if number_of(child.price) > 0]
    if prices and number_of(text_of(cells, "price")) == 0:
        cells |= {"price": lowest_price(prices), "sale_price": ""}
    options = OPTION.findall(text_of(cells, "configurable_variations"))
    cells |= option_cells((name, value) for name, value in options if not text_of(row.cells, name))
    stock = [child.in_stock for child in children if child.in_stock is not None]
    if stock and not any(stock):
        cells["availability"] = "out_of_stock"
    return FeedRow(row.line, cells)


def _as_list(value: Json) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _product(row: FeedRow) -> FeedRow:
    """The row with Google's columns."""
    pairs = (part.partition("=") for part in ATTRIBUTE.split(text_of(row.cells, "additional_attributes")))
    attributes: dict[str, Json] = {name.strip(): value.strip().strip('"') for name, _, value in pairs if value}
    known = {**attributes, **row.cells}
    pictures = _pictures(row.cells)
    starts, ends = (_date(text_of(row.cells, f"special_price_{end}_date")) for end in ("from", "to"))
    cells: dict[str, Json] = {
        **{column: _text(known, column) for column in ("title", "price", "brand", "gender")},
        "id": _text(row.cells, "id"),
        "image_link": "".join(pictures[:1]),
        "additional_image_link": pictures[1:],
        "sale_price": text_of(row.cells, "special_price"),
        "sale_price_effective_date": f"{starts}/{ends}" if starts or ends else "",
        "availability": _text(row.cells, "availability"),
        "product_type": _category(row.cells),
        **option_cells((name, _text(known, name).replace("|", ", ")) for name in ("color", "size", "material")),
    }
    return FeedRow(row.line, {**attributes, **row.cells, **cells})


def _date(text: str) -> str:
    """A date in ISO 8601; other text stays unchanged, so that the reader of the row reports it."""
    for form in DATES:
        with suppress(ValueError):
            return datetime.strptime(text, form).isoformat()
    return text.replace(" ", "T") if text[:4].isdecimal() else text


def _category(cells: Mapping[str, Json]) -> str:
    """The deepest category; Magento writes `Default Category/Gear/Bags`, of which the first is the shop's root."""
    paths = [path.split("/") for path in split_commas(text_of(cells, "categories"))]
    return deepest_path(" > ".join(part.strip() for part in (path[1:] or path)) for path in paths)
