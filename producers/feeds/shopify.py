"""Shopify: turn the lines of each product in a Shopify CSV export into one row with Google's columns.

A product has a line for each variant and each further picture; they have the same handle and follow each other. Its
price is the lowest of its variants, and it is in stock if a variant is. Names of the columns: dialects.SHOPIFY.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import unescape

from producers.feeds.dialects import SHOPIFY
from producers.feeds.variants import lowest_price, number_of, numbered, option_cells, split_commas, text_of
from producers.row_reader import BadRow, FeedRow, Json, RowResult, SkippedRow

OVERSELL_WORDS = {"continue", "true", "yes", "1"}
"""Inventory policy of variants that are sold even when out of stock."""
POLICIES = ("continue_selling_when_out_of_stock", "variant_inventory_policy")
PUBLISHED = ("published_on_online_store", "published")
OF_PRODUCT, OF_VARIANT = ("brand", "google_product_category", "gender", "age_group", "condition"), ("gtin", "mpn")
"""Columns that the first line of a product has, and columns that its first variant has."""
MAX_LINES = 5_000
"""Lines of a product: Shopify has at most 2,048 variants and 250 pictures of one."""


def read_products(rows: Iterator[RowResult]) -> Iterator[RowResult]:
    """The products of an export, in order, each with the line number of its first row.

    A handle that comes again after another one is a bad row, as its product was read already.
    """
    lines: list[FeedRow] = []
    handle = ""
    ended: set[int] = set()
    """Hashes of the handles whose products are complete."""
    for row in rows:
        if not isinstance(row, FeedRow):
            yield row
            continue
        own = _text(row.cells, "id")
        if own and own == handle and len(lines) >= MAX_LINES:
            yield BadRow(row.line, f"the product `{own}` has more than {MAX_LINES:,} lines")
        elif own == handle and lines:
            lines.append(row)
        elif hash(own) in ended:
            message = (
                "comes again, but the lines of a product must follow each other: sort the export by its handles"
            )
            yield BadRow(row.line, f"the handle `{own[:80]}` {message}")
        elif not own:
            yield BadRow(row.line, "the line has no handle, so that its product is not known")
        else:
            yield from _end(handle, lines, ended)
            handle, lines = own, [row]
    yield from _end(handle, lines, ended)


def _end(handle: str, lines: Sequence[FeedRow], ended: set[int]) -> Iterator[FeedRow | SkippedRow]:
    if lines:
        ended.add(hash(handle))
        yield _product(handle, lines)


def _text(cells: Mapping[str, Json], column: str) -> str:
    return text_of(cells, *SHOPIFY.columns[column])


def _product(handle: str, lines: Sequence[FeedRow]) -> FeedRow | SkippedRow:
    first = next((line for line in lines if _text(line.cells, "title")), lines[0])
    status, published = text_of(first.cells, "status").lower(), text_of(first.cells, *PUBLISHED).lower()
    reason = (
        status if status in ("draft", "archived", "unlisted") else "not published" if published == "false" else None
    )
    if reason is not None:
        return SkippedRow(lines[0].line, f"a product that is not on sale: it is {reason}")
    links = _pictures(lines)
    priced = [(line.cells, price) for line in lines if (price := _text(line.cells, "price"))]
    variants = [variant for variant, _ in priced]
    cells: dict[str, Json] = {
        "id": handle,
        "title": unescape(_text(first.cells, "title")),
        "image_link": links[0] if links else "",
        "additional_image_link": links[1:],
        "price": lowest_price([price for _, price in priced]),
        "availability": _availability(variants),
        "product_type": _text(first.cells, "product_type"),
        "tags": split_commas(_text(first.cells, "tags")),
        **{column: _text(first.cells, column) for column in OF_PRODUCT},
        **{column: _text(variants[0], column) if variants else "" for column in OF_VARIANT},
    }
    return FeedRow(lines[0].line, {**first.cells, **cells, **_options(first, lines)})


def _pictures(lines: Sequence[FeedRow]) -> list[str]:
    """The product's pictures by their positions, then those of its variants."""
    pictures = [(_position(line), _text(line.cells, "image_link")) for line in lines]
    own = [link for _, link in sorted(pictures, key=lambda picture: picture[0])]
    return [
        link
        for link in dict.fromkeys([*own, *(_text(line.cells, "additional_image_link") for line in lines)])
        if link
    ]


def _position(line: FeedRow) -> int:
    position = text_of(line.cells, "image_position")
    return int(position[:9]) if position.isascii() and position.isdecimal() else 0


def _availability(variants: Sequence[Mapping[str, Json]]) -> str:
    """In stock if any variant can be sold; empty if stock is not tracked."""
    tracked = [variant for variant in variants if _text(variant, "availability")]
    if not tracked:
        return ""
    is_available = any(
        number_of(_text(variant, "availability")) > 0 or text_of(variant, *POLICIES).lower() in OVERSELL_WORDS
        for variant in tracked
    )
    return "in_stock" if is_available else "out_of_stock"


def _options(first: FeedRow, lines: Sequence[FeedRow]) -> dict[str, Json]:
    """The options of the variants that have a column, with each value once."""
    names = [name for name, _ in numbered(first.cells, "option{}_name", "option{}_value", 3)]
    return option_cells(
        (name, text_of(line.cells, f"option{number}_value"))
        for number, name in enumerate(names, 1)
        for line in lines
    )


def read_json_products(rows: Iterator[RowResult]) -> Iterator[RowResult]:
    """Products in JSON, as Shopify's API and `/products.json` of each shop have them, with Google's columns."""
    for row in rows:
        if not isinstance(row, FeedRow):
            yield row
            continue
        cells = row.cells
        status = text_of(cells, "status")
        if status in ("draft", "archived"):
            yield SkippedRow(row.line, f"a product that is not on sale: it is {status}")
            continue
        listed = cells.get("variants")
        variants = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        tags = cells.get("tags")
        stock = [each["available"] for each in variants if isinstance(each.get("available"), bool)]
        made: dict[str, Json] = {
            "image_link": cells.get("images") or cells.get("image") or "",
            "price": lowest_price([text_of(each, "price") for each in variants if text_of(each, "price")]),
            "availability": "" if not stock else "in_stock" if any(stock) else "out_of_stock",
            "brand": text_of(cells, "vendor"),
            "mpn": text_of(variants[0], "sku") if variants else "",
            "tags": split_commas(tags) if isinstance(tags, str) else tags,
        }
        yield FeedRow(row.line, {**cells, **made})
