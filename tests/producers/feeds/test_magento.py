"""Magento: visible products are items, and give their children's pictures, prices and stock."""

from pathlib import Path

from producers.feeds.formats import read_feed
from producers.row_reader import FeedRow, RowResult, SkippedRow

SAMPLES = Path(__file__).parents[1] / "samples"
HEAD = (
    "sku,store_view_code,product_type,name,product_online,visibility,price,base_image,is_in_stock,associated_skus"
)


def rows(folder: Path, *lines: str) -> list[RowResult]:
    path = folder / "export.csv"
    path.write_text("\n".join([HEAD, *lines]))
    return list(read_feed(path))


def test_an_export_is_read() -> None:
    bag, translation, offline, hoodie = read_feed(SAMPLES / "magento.csv")
    assert isinstance(bag, FeedRow)
    assert (bag.cells["id"], bag.cells["title"], bag.cells["price"]) == ("24-MB01", "Joust Duffle Bag", "34.000000")
    assert (bag.cells["sale_price"], bag.cells["sale_price_effective_date"]) == (
        "29.00", "2020-01-01T00:00:00/1970-01-01T00:00:00",
    )  # fmt: skip
    assert (bag.cells["image_link"], bag.cells["additional_image_link"]) == (
        "/m/b/mb01-blue-0.jpg", ["/m/b/mb01-blue-1.jpg"],
    )  # fmt: skip
    assert (bag.cells["product_type"], bag.cells["color"], bag.cells["material"]) == (
        "Gear > Bags", "Blue", "Nylon, Polyester",
    )  # fmt: skip
    assert [row.message for row in (translation, offline) if isinstance(row, SkippedRow)] == [
        "a translation of a product for one store view",
        "a product that is not on sale: it is offline",
    ]
    assert isinstance(hoodie, FeedRow)
    assert (hoodie.cells["id"], hoodie.cells["price"], hoodie.cells["availability"]) == ("MH01", "49.000000", "1")
    assert hoodie.cells["additional_image_link"] == ["/m/h/mh01-black_main.jpg", "/m/h/mh01-black_back.jpg"]
    assert (hoodie.cells["color"], hoodie.cells["size"]) == ("Black, Gray", "XS, S")
    assert hoodie.cells["product_type"] == "Men > Tops > Hoodies & Sweatshirts"


def test_children_may_come_before_or_after_their_product(tmp_path: Path) -> None:
    one = 'a,,simple,A,1,Not Visible Individually,5,/a.jpg,0,""'
    two = 'b,,simple,B,1,Not Visible Individually,4,/b.jpg,0,""'
    [row] = rows(tmp_path, one, 'set,,grouped,Set,1,"Catalog, Search",,/s.jpg,1,"a=1.0,b=2.0"', two)
    assert isinstance(row, FeedRow)
    assert (row.cells["price"], row.cells["availability"]) == ("4", "out_of_stock")
    assert (row.cells["image_link"], row.cells["additional_image_link"]) == ("/s.jpg", ["/a.jpg", "/b.jpg"])


def test_a_hidden_product_without_a_parent_is_skipped_with_a_message(tmp_path: Path) -> None:
    [row] = rows(tmp_path, 'a,,simple,A,1,Not Visible Individually,5,/a.jpg,0,""')
    assert isinstance(row, SkippedRow)
    assert (row.line, "part of no other" in row.message) == (2, True)
