"""Shopify: the lines of a product become one row, whatever stands between them, by old names and new ones."""

from pathlib import Path

import pytest

from producers.feeds.formats import read_feed
from producers.row_reader import BadRow, FeedRow, RowResult, SkippedRow

SAMPLES = Path(__file__).parents[1] / "samples"
HEAD = "Handle,Title,Variant Price,Image Src"


def rows(folder: Path, *lines: str, head: str = HEAD) -> list[RowResult]:
    path = folder / "export.csv"
    path.write_bytes("\n".join([head, *lines]).encode("utf-8", "surrogateescape"))
    return list(read_feed(path))


def test_an_export_with_the_present_names_is_read() -> None:
    red, old, hidden, plain = read_feed(SAMPLES / "shopify-2025.csv")
    assert isinstance(red, FeedRow)
    assert (red.line, red.cells["id"], red.cells["title"], red.cells["price"]) == (
        2,
        "red-disc",
        "Red disc",
        "9.50",
    )
    pictures = [f"https://cdn.shop.example/2025/red-{name}.jpg" for name in ("1", "2", "3", "small", "medium")]
    assert (red.cells["image_link"], red.cells["additional_image_link"]) == (pictures[0], pictures[1:])
    assert (red.cells["availability"], red.cells["brand"], red.cells["tags"]) == (
        "in_stock",
        "Round",
        ["round", "red"],
    )
    assert (red.cells["color"], red.cells["size"], red.cells["gender"]) == ("Red", "S, M", "unisex")
    assert (red.cells["gtin"], red.cells["mpn"], red.cells["product_type"]) == ("4006381333931", "RD-S", "Discs")
    assert [row.message for row in (old, hidden) if isinstance(row, SkippedRow)] == [
        "a product that is not on sale: it is archived",
        "a product that is not on sale: it is not published",
    ]
    assert isinstance(plain, FeedRow)
    assert plain.cells["availability"] == "in_stock"  # it is sold although none is there


def test_the_old_names_are_still_read() -> None:
    red, *_ = read_feed(SAMPLES / "shopify.csv")
    assert isinstance(red, FeedRow)
    assert (red.cells["id"], red.cells["title"], red.cells["mpn"]) == ("red-disc", "Red disc & stand", "RD-S")


def test_a_handle_that_comes_again_is_a_bad_row_and_spoils_nothing(tmp_path: Path) -> None:
    a, b, again = rows(tmp_path, "a,Shirt,1,https://h/1.jpg", "b,Hat,1,https://h/2.jpg", "a,,2,https://h/3.jpg")
    assert isinstance(a, FeedRow)
    assert (a.cells["title"], a.cells["image_link"]) == ("Shirt", "https://h/1.jpg")
    assert isinstance(b, BadRow) or isinstance(again, BadRow)
    [bad] = [row for row in (b, again) if isinstance(row, BadRow)]
    assert (bad.line, "`a` comes again" in bad.message) == (4, True)


@pytest.mark.parametrize(
    "between", ["a,,2,https://h/9.jpg,more,cells", "a,b\udcff,2,https://h/9.jpg", 'a,"x,2,https://h/9.jpg']
)
def test_a_bad_row_within_a_product_does_not_end_it(tmp_path: Path, between: str) -> None:
    found = rows(
        tmp_path, "a,Shirt é é,1,https://h/1.jpg", between, "a,,2,https://h/3.jpg", "b,Hat,1,https://h/2.jpg"
    )
    [bad] = [row for row in found if isinstance(row, BadRow)]
    a, b = (row for row in found if isinstance(row, FeedRow))
    assert bad.line == 3
    assert (a.cells["title"], a.cells["additional_image_link"]) == ("Shirt é é", ["https://h/3.jpg"])
    assert b.cells["id"] == "b"


def test_lines_without_a_handle_are_named(tmp_path: Path) -> None:
    found = rows(tmp_path, "a,Shirt,1,u", ",x,1,v", "a,,2,w")
    assert [type(row).__name__ for row in found] == ["BadRow", "FeedRow"]


@pytest.mark.parametrize(("prices", "lowest"), [
    (["9.50", "11"], "9.50"), (["1,234.50", "999"], "999"), (["9,50", "10,00"], "9,50"),
    (["soon"], "soon"), ([], ""),
    (["1.234,50", "1.300,00"], "1.234,50"), (["soon", "3"], "3"),
])  # fmt: skip
def test_the_price_is_the_lowest_of_the_variants(tmp_path: Path, prices: list[str], lowest: str) -> None:
    lines = [f'a,,"{price}",' for price in prices]
    [row] = rows(tmp_path, "a,Shirt,,https://h/1.jpg", *lines)
    assert isinstance(row, FeedRow)
    assert row.cells["price"] == lowest


def test_own_columns_stay_for_a_mapping(tmp_path: Path) -> None:
    [row] = rows(tmp_path, "a,Shirt,1,u,x", head=HEAD + ",Colour (product.metafields.custom.colour)")
    assert isinstance(row, FeedRow)
    assert row.cells["colour_(product.metafields.custom.colour)"] == "x"


def test_products_in_json_are_read(tmp_path: Path) -> None:
    path = tmp_path / "products.json"
    path.write_text(
        '{"products":[{"id":7,"title":"Red disc","handle":"red-disc","vendor":"Round","product_type":"Discs",'
        '"tags":["round","red"],"variants":[{"sku":"RD","price":"11.50","available":false},{"price":"9.50",'
        '"available":true}],"images":[{"id":1,"src":"https://cdn.example/1.jpg"}]}]}'
    )
    [row] = read_feed(path)
    assert isinstance(row, FeedRow)
    assert (row.cells["id"], row.cells["price"], row.cells["availability"]) == ("7", "9.50", "in_stock")
    assert row.cells["image_link"] == [{"id": "1", "src": "https://cdn.example/1.jpg"}]
    assert (row.cells["brand"], row.cells["mpn"], row.cells["tags"]) == ("Round", "RD", ["round", "red"])
