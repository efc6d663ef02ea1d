"""Feeds as they are: Google Merchant XML, and Shopify's product export; samples after the public specifications."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.config.errors import BadInput
from producers.catalog import CatalogFormat, read_items
from producers.column_mapping import choose_columns
from producers.merchant_xml import CHUNK, read_products
from producers.row_reader import BadRow, FeedRow, SkippedRow
from schemas.items import ItemUpserted, UrlImage
from tests.producers.feed_events import EventResult, events_of

SAMPLES = Path(__file__).with_name("samples")
HEAD = '<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel>'
ITEM = "<item><g:id>{id}</g:id><g:image_link>https://shop.example/{id}.jpg</g:image_link></item>"
TAIL = "</channel></rss>"


def read(path: Path) -> list[EventResult]:
    return list(events_of(read_items(path, CatalogFormat(choose_columns(path, ()), currency="EUR"))))


def items(path: Path) -> list[ItemUpserted]:
    return [one for one in read(path) if isinstance(one, ItemUpserted)]


def urls(item: ItemUpserted) -> list[str]:
    return [image.url for image in item.images if isinstance(image, UrlImage)]


def xml(folder: Path, text: str) -> Path:
    (folder / "feed.xml").write_text(text)
    return folder / "feed.xml"


def test_an_rss_feed_of_google_merchant_becomes_items() -> None:
    item, other = read(SAMPLES / "merchant-rss.xml")
    assert isinstance(item, ItemUpserted)
    assert (item.item_id, item.title, item.brand, item.category) == ("sku-1", "Red disc & stand", "Round", "Discs")
    assert (item.price, item.currency, item.in_stock) == (Decimal("9.50"), "EUR", True)  # not that of g:shipping
    assert urls(item) == [f"https://shop.example/sku-1{which}.jpg" for which in ("", "-back", "-worn")]
    assert item.attributes == {"color": "red", "product_type": "Toys > Discs"}
    assert isinstance(other, ItemUpserted)
    assert other.price is None, "what is no price is left out"


def test_an_atom_feed_becomes_items_with_the_link_that_people_follow() -> None:
    [item] = items(SAMPLES / "merchant-atom.xml")
    assert (item.item_id, item.title, item.url) == ("sku-3", "Green disc", "https://shop.example/sku-3")
    assert (item.price, item.in_stock) == (Decimal("12.00"), False)


def test_lines_of_one_handle_are_one_product_of_a_shopify_export() -> None:
    red, old, plain, bare = read(SAMPLES / "shopify.csv")
    assert isinstance(red, ItemUpserted)
    assert (red.item_id, red.title, red.brand, red.category) == ("red-disc", "Red disc & stand", "Round", "Discs")
    assert (red.price, red.currency, red.in_stock) == (Decimal("9.50"), "EUR", True)
    assert urls(red) == [f"https://cdn.shop.example/red-{n}.jpg" for n in (1, 2, 3)]
    assert red.tags == ("round", "red")
    assert red.attributes == {"color": "Red, Dark red", "size": "S, M", "gtin": "4006381333931", "mpn": "RD-S"}
    assert isinstance(old, SkippedRow)
    assert "archived" in old.message
    assert isinstance(plain, ItemUpserted)
    assert plain.in_stock  # it is sold although none is there
    assert isinstance(bare, BadRow)
    assert "every item needs its image" in bare.message


def test_a_product_that_is_not_sold_says_why(tmp_path: Path) -> None:
    export = tmp_path / "export.csv"
    head = "Handle,Title,Published,Status,Variant Price,Image Src"
    export.write_text(f"{head}\nred,Red,false,active,9.50,https://cdn.shop.example/red.jpg\n")
    [row] = read(export)
    assert isinstance(row, SkippedRow)
    assert "not published" in row.message


def test_a_feed_that_breaks_off_gives_what_came_before_and_says_where(tmp_path: Path) -> None:
    good, bad = read_products(xml(tmp_path, f"{HEAD}\n{ITEM.format(id='a')}\n<item><g:id>b"))
    assert isinstance(good, FeedRow)
    assert isinstance(bad, BadRow)
    assert (bad.line, "nothing after it is read" in bad.message) == (3, True)


@pytest.mark.parametrize(("text", "why"), [
    ('<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><rss>&b;</rss>', "document type"),
    ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><rss/>', "document type"),
    (HEAD + "<a>" * 20, "in each other"),
    (f"{HEAD}<item><g:id>{'x' * 1_100_000}</g:id></item>", "characters"),
    ("id,title", "no XML"),
])  # fmt: skip
def test_what_no_feed_needs_is_refused(tmp_path: Path, text: str, why: str) -> None:
    [bad] = read_products(xml(tmp_path, text))
    assert isinstance(bad, BadRow)
    assert why in bad.message


def test_a_feed_without_ids_says_which_column_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--map item_id=COLUMN"):
        read(xml(tmp_path, f"{HEAD}<item><title>t</title></item>{TAIL}"))
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path / "none.xml")


@given(st.lists(st.text("abc&<é", min_size=1, max_size=9), min_size=1, max_size=5), st.integers(0, 3))
def test_what_is_written_is_read_wherever_the_chunks_end(titles: list[str], pad: int) -> None:
    import tempfile
    from xml.sax.saxutils import escape

    rows = [f"<item><g:id>{n}</g:id><g:title>|{escape(title)}|</g:title></item>" for n, title in enumerate(titles)]
    with tempfile.TemporaryDirectory() as folder:
        filler = "<item>" + "x" * (CHUNK - len(HEAD) - 20 - pad) + "</item>"
        read = list(read_products(xml(Path(folder), HEAD + filler + "".join(rows) + TAIL)))
    found = [row.cells.get("title") for row in read[1:] if isinstance(row, FeedRow)]
    assert found == [f"|{title}|" for title in titles]
