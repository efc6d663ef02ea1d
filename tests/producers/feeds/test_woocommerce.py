"""WooCommerce: products of every type of an export, and variations wherever they stand."""

from decimal import Decimal
from pathlib import Path

import pytest

from producers.catalog import CatalogFormat, read_items
from producers.column_mapping import choose_columns
from producers.feed_item import FeedItem
from producers.feeds.formats import read_feed
from producers.row_reader import BadRow, FeedRow, RowResult, SkippedRow
from schemas.items import ItemUpserted

SAMPLES = Path(__file__).parents[1] / "samples"
HEAD = "ID,Type,SKU,Name,Published,Regular price,Sale price,In stock?,Images,Parent"


def rows(folder: Path, *lines: str) -> list[RowResult]:
    path = folder / "export.csv"
    path.write_text("\n".join([HEAD, *lines]))
    return list(read_feed(path))


def test_an_export_is_read() -> None:
    hoodie, draft, pennant, tee = read_feed(SAMPLES / "woocommerce.csv")
    assert isinstance(hoodie, FeedRow)
    assert (hoodie.cells["id"], hoodie.cells["title"], hoodie.cells["mpn"]) == (
        "45", 'Hoodie with "Logo"', "woo-hoodie-with-logo",
    )  # fmt: skip
    assert (hoodie.cells["price"], hoodie.cells["sale_price"], hoodie.cells["product_type"]) == (
        "45", "40", "Clothing > Hoodies",
    )  # fmt: skip
    assert isinstance(draft, SkippedRow)
    assert isinstance(pennant, FeedRow)
    assert pennant.cells["link"] == "https://mercantile.wordpress.org/product/wordpress-pennant/"
    assert isinstance(tee, FeedRow)
    assert (tee.line, tee.cells["id"], tee.cells["price"], tee.cells["availability"]) == (2, "44", "15", "in_stock")
    assert tee.cells["image_link"] == ["https://woo.example/uploads/vneck-tee-2.jpg"]
    assert tee.cells["additional_image_link"] == [
        "https://woo.example/uploads/vnech-tee-green-1.jpg",
        "https://woo.example/uploads/vneck-tee-red.jpg",
    ]
    assert (tee.cells["tags"], tee.cells["color"], tee.cells["brand"]) == (
        ["soft", "summer"], "Blue, Green, Red", "Acme",
    )  # fmt: skip


def test_a_variation_may_come_before_its_product(tmp_path: Path) -> None:
    [row] = rows(tmp_path, "2,variation,b,,1,9,,1,https://h/2.jpg,id:1", "1,variable,a,Tee,1,,,1,https://h/1.jpg,")
    assert isinstance(row, FeedRow)
    assert (row.cells["price"], row.cells["additional_image_link"]) == ("9", ["https://h/2.jpg"])


def test_a_variation_without_its_product_is_an_item_of_its_own(tmp_path: Path) -> None:
    [row] = rows(tmp_path, "2,variation,b,Tee red,1,9,,1,https://h/2.jpg,id:1")
    assert isinstance(row, FeedRow)
    assert (row.cells["id"], row.cells["item_group_id"]) == ("2", "1")


def test_variations_of_a_product_that_is_not_on_sale_are_skipped(tmp_path: Path) -> None:
    found = rows(tmp_path, "1,variable,a,Tee,0,,,1,https://h/1.jpg,", "2,variation,b,,1,9,,1,https://h/2.jpg,a")
    assert [type(row) for row in found] == [SkippedRow, SkippedRow]


def test_bad_rows_stay_where_they_are(tmp_path: Path) -> None:
    found = rows(tmp_path, "1,simple,a,Tee,1,1,,1,u,,more", "3,simple,c,Hat,1,1,,1,v,")
    assert [type(row) for row in found] == [BadRow, FeedRow]


@pytest.mark.parametrize(("cell", "links"), [
    ("https://h/a.jpg, https://h/b.jpg", ["https://h/a.jpg", "https://h/b.jpg"]),
    ("https://h/c_fill,w_300/b.jpg", ["https://h/c_fill,w_300/b.jpg"]),
    ("https://h/a.jpg|https://h/b.jpg", ["https://h/a.jpg", "https://h/b.jpg"]),
    ("a.jpg", ["a.jpg"]), ("", []), ("a" + " " * 50_000 + "b", ["a" + " " * 50_000 + "b"]),
])  # fmt: skip
def test_a_cell_with_pictures_is_split_before_addresses(tmp_path: Path, cell: str, links: list[str]) -> None:
    [row] = rows(tmp_path, f'1,simple,a,Tee,1,1,,1,"{cell}",')
    assert isinstance(row, FeedRow)
    assert (row.cells["image_link"], row.cells["additional_image_link"]) == (links[:1], links[1:])


def test_the_price_of_its_store_api_is_in_minor_units(tmp_path: Path) -> None:
    path = tmp_path / "products.json"
    path.write_text(
        '[{"id":5,"name":"Disc","permalink":"https://h/p","prices":{"price":"1250","regular_price":"1500",'
        '"currency_code":"EUR","currency_minor_unit":2},"images":[{"id":1,"src":"https://h/1.jpg"}],"is_in_stock":true}]'
    )
    [item] = read_items(path, CatalogFormat(choose_columns(path, ())))
    assert isinstance(item, FeedItem)
    assert isinstance(item.event, ItemUpserted)
    assert (item.event.price, item.event.currency, item.event.in_stock) == (Decimal("12.50"), "EUR", True)


def test_products_of_its_api_are_read(tmp_path: Path) -> None:
    path = tmp_path / "products.json"
    path.write_text(
        '[{"id":794,"name":"Tee","permalink":"https://h/p","sku":"t","price":"21.99","regular_price":"21.99",'
        '"stock_status":"instock","categories":[{"id":9,"name":"Clothing"}],"images":[{"id":1,"src":"https://h/1.jpg"}],'
        '"tags":[{"id":3,"name":"soft"}]}]'
    )
    [row] = read_feed(path)
    assert isinstance(row, FeedRow)
    assert (row.cells["title"], row.cells["link"], row.cells["price"]) == ("Tee", "https://h/p", "21.99")
    assert (row.cells["product_type"], row.cells["availability"]) == (["Clothing"], "instock")
