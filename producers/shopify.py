"""Shopify exports: turn the lines of each product in a Shopify CSV export into one row with Google's columns.

Source: https://help.shopify.com/en/manual/products/import-export/using-csv (the columns; a line for each variant,
and for each further picture).
"""

import re
from collections.abc import Iterator, Sequence
from html import unescape
from itertools import groupby

from producers.row_reader import BadRow, FeedRow, Json, SkippedRow

HANDLE, PICTURE = "Handle", "Image Src"
COLUMNS = (
    "id", "title", "image_link", "additional_image_link", "price", "availability", "product_type", "brand", "tags",
    "gtin", "mpn", "color", "size", "material",
)  # fmt: skip
"""Columns of the resulting rows."""
OPTION_COLUMNS = {"color": "color", "colour": "color", "size": "size", "material": "material"}
"""Columns for the options of variants, by the option's name in lower case."""
NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
OVERSELL_POLICY = "continue"
"""Inventory policy of variants that are sold even when out of stock."""


def is_export(columns: Sequence[str]) -> bool:
    """Whether a table with these columns is a Shopify export."""
    return HANDLE in columns and PICTURE in columns


def read_products(rows: Iterator[FeedRow | BadRow]) -> Iterator[FeedRow | BadRow | SkippedRow]:
    """The products of an export, in order, each with the line number of its first row."""
    for handle, lines in groupby(rows, key=_handle):
        group = list(lines)
        good = [row for row in group if isinstance(row, FeedRow)]
        if handle is None:
            yield from (row for row in group if isinstance(row, BadRow))
        elif good:
            yield _product(handle, good)


def _handle(row: FeedRow | BadRow) -> str | None:
    return None if isinstance(row, BadRow) else _text(row, HANDLE)


def _product(handle: str, lines: Sequence[FeedRow]) -> FeedRow | SkippedRow:
    first = lines[0]
    status, published = _text(first, "Status").lower(), _text(first, "Published").lower()
    reason = status if status in ("draft", "archived") else "not published" if published == "false" else None
    if reason is not None:
        return SkippedRow(first.line, f"{handle} is not on sale: it is {reason}")
    pictures = sorted((line for line in lines if _text(line, PICTURE)), key=_position)
    links = list(dict.fromkeys(_text(line, PICTURE) for line in pictures))
    variants = [line for line in lines if _text(line, "Variant Price")]
    cells: dict[str, Json] = {
        "id": handle,
        "title": unescape(_text(first, "Title")),
        "image_link": links[0] if links else "",
        "additional_image_link": links[1:],
        "price": _lowest_price(variants),
        "availability": _availability(variants),
        "product_type": _text(first, "Type") or _text(first, "Product Category"),
        "brand": _text(first, "Vendor"),
        "tags": [tag.strip() for tag in _text(first, "Tags").split(",") if tag.strip()],
        "gtin": _text(variants[0], "Variant Barcode") if variants else "",
        "mpn": _text(variants[0], "Variant SKU") if variants else "",
    }
    return FeedRow(first.line, cells | _options(first, lines))


def _position(line: FeedRow) -> int:
    position = _text(line, "Image Position")
    return int(position) if position.isascii() and position.isdecimal() else 0


def _lowest_price(variants: Sequence[FeedRow]) -> str:
    """The lowest price of the variants as text, which online stores display as "from"."""
    prices = [_text(one, "Variant Price") for one in variants]
    numbers = [price for price in prices if NUMBER.fullmatch(price)]
    return (
        min(numbers, key=float) if numbers else "".join(prices[:1])
    )  # the reader of the row reports an invalid price


def _availability(variants: Sequence[FeedRow]) -> str:
    """In stock if any variant can be sold; empty if stock is not tracked."""
    tracked = [one for one in variants if _text(one, "Variant Inventory Qty")]
    if not tracked:
        return ""
    is_available = any(_can_be_sold(one) for one in tracked)
    return "in_stock" if is_available else "out_of_stock"


def _can_be_sold(variant: FeedRow) -> bool:
    quantity = _text(variant, "Variant Inventory Qty")
    in_stock = NUMBER.fullmatch(quantity) is not None and float(quantity) > 0
    return in_stock or _text(variant, "Variant Inventory Policy").lower() == OVERSELL_POLICY


def _options(first: FeedRow, lines: Sequence[FeedRow]) -> dict[str, Json]:
    """The options of the variants that have a column, with each value once."""
    found: dict[str, Json] = {}
    for number in (1, 2, 3):
        column = OPTION_COLUMNS.get(_text(first, f"Option{number} Name").lower())
        values = dict.fromkeys(_text(line, f"Option{number} Value") for line in lines)
        if column is not None:
            found[column] = ", ".join(value for value in values if value)
    return found


def _text(row: FeedRow, column: str) -> str:
    value = row.cells.get(column)
    return value.strip() if isinstance(value, str) else ""
