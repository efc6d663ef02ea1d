"""WooCommerce: turn the rows of a product export into rows with Google's columns.

A variable product is one item: its variations give it their pictures, the lowest of their prices, and its stock. As
variations may stand anywhere in an export, variable products come at its end. A variation whose product is not in
the export is an item of its own. Names of the columns: dialects.WOOCOMMERCE.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from producers.feeds.dialects import WOOCOMMERCE
from producers.feeds.variants import (
    deepest_path,
    is_true,
    lowest_price,
    number_of,
    numbered,
    option_cells,
    split_commas,
    split_links,
    text_of,
)
from producers.row_reader import FeedRow, Json, RowResult, SkippedRow

OUT_OF_STOCK_WORDS = {"0", "outofstock", "no", "false"}


@dataclass
class _Variable:
    """A variable product with the values of its variations."""

    row: FeedRow
    pictures: list[str]
    prices: list[str] = field(default_factory=list)
    stock: list[bool] = field(default_factory=list)

    def add(self, variation: Mapping[str, Json]) -> None:
        """Add a variation."""
        self.pictures.extend(split_links(_text(variation, "image_link")))
        sale, price = _text(variation, "sale_price"), _text(variation, "price")
        self.prices.extend([sale or price] if sale or price else [])
        if availability := _text(variation, "availability"):
            self.stock.append(_is_available(availability))

    def product(self) -> FeedRow:
        """The product as one row."""
        pictures = list(dict.fromkeys(self.pictures))
        cells = dict(self.row.cells)
        cells |= {"image_link": pictures[:1], "additional_image_link": pictures[1:]}
        if self.prices:
            cells |= {"price": lowest_price(self.prices), "sale_price": ""}
        if self.stock:
            cells["availability"] = "in_stock" if any(self.stock) else "out_of_stock"
        return FeedRow(self.row.line, cells)


def read_products(rows: Iterator[RowResult]) -> Iterator[RowResult]:
    """The products of an export; those with variations at the end."""
    variables: dict[str, _Variable] = {}
    """Each under its id and under its SKU, which variations name."""
    skipped: set[str] = set()
    early: list[FeedRow] = []
    """Variations that came before their product."""
    for row in rows:
        if not isinstance(row, FeedRow):
            yield row
            continue
        kinds = {kind.strip() for kind in text_of(row.cells, "type").lower().split(",")}
        reason = None if "variation" in kinds else _why_hidden(row.cells)
        if "variation" in kinds:
            early.extend(_add_variation(row, variables))
        elif reason is not None:
            skipped |= set(_keys(row.cells))
            yield SkippedRow(row.line, f"a product that is not on sale: it is {reason}")
        elif "variable" in kinds:
            product = _product(row)
            variable = _Variable(product, split_links(_text(row.cells, "image_link")))
            variables |= dict.fromkeys(_keys(row.cells), variable)
        else:
            yield _product(row)
    for row in early:
        for orphan in _add_variation(row, variables):
            yield _orphan(orphan, skipped)
    yield from (variable.product() for variable in {id(each): each for each in variables.values()}.values())


def _add_variation(row: FeedRow, variables: Mapping[str, _Variable]) -> list[FeedRow]:
    """Add a variation to its product; returns it if the product is not there."""
    variable = variables.get(_parent(row.cells))
    if variable is None:
        return [row]
    variable.add(row.cells)
    return []


def _orphan(row: FeedRow, skipped: set[str]) -> FeedRow | SkippedRow:
    if _parent(row.cells) in skipped:
        return SkippedRow(row.line, "a variation of a product that is not on sale")
    product = _product(row)
    return FeedRow(row.line, {**product.cells, "item_group_id": _parent(row.cells).removeprefix("id:")})


def _keys(cells: Mapping[str, Json]) -> list[str]:
    """The id or SKU by which variations name their product."""
    own, sku = text_of(cells, "id"), text_of(cells, "sku")
    return [key for key in (f"id:{own}" if own else "", sku) if key]


def _parent(cells: Mapping[str, Json]) -> str:
    return text_of(cells, "parent").replace("id: ", "id:")


def _why_hidden(cells: Mapping[str, Json]) -> str | None:
    published, visibility = text_of(cells, "published"), text_of(cells, "visibility_in_catalog").lower()
    if published and number_of(published) != 1 and not is_true(published):
        return "not published"
    return "hidden in the catalogue" if visibility == "hidden" else None


def _text(cells: Mapping[str, Json], column: str) -> str:
    return text_of(cells, *WOOCOMMERCE.columns[column])


def _is_available(text: str) -> bool:
    return text.lower() not in OUT_OF_STOCK_WORDS


def _product(row: FeedRow) -> FeedRow:
    """The row with Google's columns."""
    pictures = split_links(_text(row.cells, "image_link"))
    starts, ends = text_of(row.cells, "date_sale_price_starts"), text_of(row.cells, "date_sale_price_ends")
    options = numbered(row.cells, "attribute_{}_name", "attribute_{}_value(s)")
    columns = ("id", "title", "price", "sale_price", "availability", "brand", "link", "mpn", "gtin")
    cells: dict[str, Json] = {
        **{column: _text(row.cells, column) for column in columns},
        "image_link": pictures[:1],
        "additional_image_link": pictures[1:],
        "sale_price_effective_date": f"{starts}/{ends}" if starts or ends else "",
        "product_type": deepest_path(split_commas(_text(row.cells, "product_type"))),
        "tags": split_commas(_text(row.cells, "tags")),
    }
    return FeedRow(row.line, {**row.cells, **cells, **option_cells(options)})
