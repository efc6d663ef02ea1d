"""Feed formats: read catalog feeds of every format as rows; the suffix and the header determine the format."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from producers import merchant_xml, shopify
from producers.row_reader import LOOK_AHEAD, BadRow, FeedRow, SkippedRow, read_rows, read_table_columns


def read_columns(path: Path) -> list[str]:
    """The columns of a feed; raises BadInput if the file is missing or its format is unknown."""
    if path.suffix.lower() in merchant_xml.SUFFIXES:
        rows = islice(merchant_xml.read_products(path), LOOK_AHEAD)
        return list(dict.fromkeys(name for row in rows if isinstance(row, FeedRow) for name in row.cells))
    columns = read_table_columns(path)
    return list(shopify.COLUMNS) if shopify.is_export(columns) else columns


def read_feed(path: Path) -> Iterator[FeedRow | BadRow | SkippedRow]:
    """The products of a feed, in order."""
    if path.suffix.lower() in merchant_xml.SUFFIXES:
        return merchant_xml.read_products(path)
    rows = read_rows(path)
    return shopify.read_products(rows) if shopify.is_export(read_table_columns(path)) else rows
