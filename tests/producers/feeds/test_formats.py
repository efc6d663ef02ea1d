"""Feed formats are recognised by content; samples after the public specifications become items."""

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from infra.config.errors import BadInput
from producers.catalog import CatalogFormat, read_items
from producers.column_mapping import choose_columns
from producers.feeds.feed_file import find_format
from producers.feeds.formats import inspect_feed, read_feed
from producers.row_reader import BadRow, FeedRow, SkippedRow
from schemas.items import ItemUpserted, UrlImage
from tests.producers.feed_events import EventResult, events_of

SAMPLES = Path(__file__).parents[1] / "samples"


def read(path: Path) -> list[EventResult]:
    return list(events_of(read_items(path, CatalogFormat(choose_columns(path, ()), currency="EUR"))))


def items(path: Path) -> list[ItemUpserted]:
    return [one for one in read(path) if isinstance(one, ItemUpserted)]


def urls(item: ItemUpserted) -> list[str]:
    return [image.url for image in item.images if isinstance(image, UrlImage)]


def test_an_rss_feed_of_google_merchant_becomes_items() -> None:
    item = items(SAMPLES / "merchant-rss.xml")[0]
    assert (item.item_id, item.title, item.brand, item.category) == ("sku-1", "Red disc & stand", "Round", "Discs")
    assert (item.price, item.currency, item.in_stock) == (Decimal("9.50"), "EUR", True)  # not that of g:shipping
    assert urls(item) == [f"https://shop.example/sku-1{which}.jpg" for which in ("", "-back", "-worn")]
    assert item.attributes == {"color": "red", "product_type": "Toys > Discs"}


def test_an_atom_feed_becomes_items_with_the_link_of_the_web_page() -> None:
    [item] = items(SAMPLES / "merchant-atom.xml")
    assert (item.item_id, item.title, item.url) == ("sku-3", "Green disc", "https://shop.example/sku-3")
    assert (item.price, item.in_stock) == (Decimal("12.00"), False)


def test_a_shopify_export_becomes_items() -> None:
    red, old, plain, bare = read(SAMPLES / "shopify.csv")
    assert isinstance(red, ItemUpserted)
    assert (red.item_id, red.title, red.brand, red.category) == ("red-disc", "Red disc & stand", "Round", "Discs")
    assert (red.price, red.currency, red.in_stock) == (Decimal("9.50"), "EUR", True)
    assert urls(red) == [f"https://cdn.shop.example/red-{n}.jpg" for n in (1, 2, 3)]
    assert red.tags == ("round", "red")
    assert red.attributes == {"color": "Red, Dark red", "size": "S, M", "gtin": "4006381333931", "mpn": "RD-S"}
    assert isinstance(old, SkippedRow)
    assert isinstance(plain, ItemUpserted)
    assert isinstance(bare, BadRow)
    assert "every item needs its image" in bare.message


@pytest.mark.parametrize(("text", "kind"), [
    ("id,title\n", "table"), ("{\n", "json"), ('[{"id": 1}]', "json"), ("[]", "json"), ("<rss>", "xml"),
    ("\ufeff<?xml version='1.0'?>", "xml"), ("\n  [\n{}]", "json"), ("[id];[title]\n", "table"),
    ("{id},x\n", "table"),
])  # fmt: skip
@pytest.mark.parametrize("name", ["feed", "feed.csv", "feed.txt"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_the_content_decides_the_format(
    tmp_path: Path, text: str, kind: str, name: str, pack: Callable[[bytes], bytes]
) -> None:
    (tmp_path / name).write_bytes(pack(text.encode()))
    assert find_format(tmp_path / name) == kind


def test_the_suffix_gives_the_format_of_a_broken_file(tmp_path: Path) -> None:
    for name, kind in (("feed.jsonl", "json"), ("feed.xml", "xml"), ("feed.xml.gz", "xml"), ("feed.txt", "table")):
        (tmp_path / name).write_text("nonsense")
        assert find_format(tmp_path / name) == kind


@pytest.mark.parametrize(("start", "part"), [
    (b"7z\xbc\xaf\x27\x1c", "7z archive: unpack it"), (b"Rar!\x1a\x07", "RAR"), (b"%PDF-1.7", "PDF"),
    (b"\xff\xd8\xff\xe0", "a picture"), (b"SQLite format 3\0", "SQLite"), (b"Obj\x01", "Avro"),
    (b"ARROW1", "Arrow"),
    (b"\xd0\xcf\x11\xe0", "old Excel workbook"), (b"feed.csv".ljust(257, b"\0") + b"ustar", "tar archive"),
])  # fmt: skip
def test_files_of_other_kinds_are_named(tmp_path: Path, start: bytes, part: str) -> None:
    (tmp_path / "feed.csv").write_bytes(start + bytes(300))
    with pytest.raises(BadInput) as caught:
        inspect_feed(tmp_path / "feed.csv")
    assert part in str(caught.value)


def test_values_of_objects_become_columns(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text(json.dumps({"id": 1, "image": {"url": "u", "size": {"w": 1}}, "price": {"amount": 1.5}}))
    [row] = read_feed(path)
    assert isinstance(row, FeedRow)
    assert {"image.url": "u", "image.size.w": "1", "price.amount": "1.5"}.items() <= row.cells.items()
    assert row.cells["price"] == {"amount": "1.5"}
    assert choose_columns(path, ["image=image.url"])["image"] == "image.url"


def test_keys_of_json_that_are_one_column_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "feed.json"
    path.write_text(
        '[{"id": 1, "title": "", "Title": "t", "image_link": "u", "imageLink": "v", "image_links": ["w"]}]'
    )
    [row] = read_feed(path)
    assert isinstance(row, FeedRow)
    assert (row.cells["title"], row.cells["image_link"]) == ("t", ["u", "v", "w"])


def test_a_parquet_file_in_an_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "feed.gz").write_bytes(gzip.compress(b"PAR1" + bytes(100)))
    with pytest.raises(BadInput, match="unpack"):
        inspect_feed(tmp_path / "feed.gz")
