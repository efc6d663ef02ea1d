"""Column mapping: names in every spelling, columns that appear late, and messages to users."""

import json
from pathlib import Path

import pytest

from infra.config.errors import BadInput
from producers.column_mapping import choose_columns
from producers.feeds.column_names import column_key
from producers.feeds.formats import read_feed
from producers.row_reader import FeedRow

SAMPLES = Path(__file__).with_name("samples")


def feed(folder: Path, text: str, name: str = "feed.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(("name", "key"), [
    *((name, "image_link") for name in (
        "image_link", "image link", "Image Link", "IMAGE-LINK", "g:image_link", "G:Image Link", "imageLink",
        '"image_link"', " image  link ", "\ufeffimage_link", "image\u00a0link", "image[0].url", "\uff49mage_link",
    )),
    *((name, "additional_image_link") for name in (
        "additional image links", "additional_image_link_2", "additional_image_link[0]", "image[3].url",
    )),
    ("#id", "id"), ("ID", "id"), ("Product Type", "product_type"), ("productTypes", "product_type"), ("", ""),
    ("item group id", "item_group_id"), ("colour", "color"), ("product_tags[0]", "tags"),
    ("g:music: x", "music:_x"), ("Main Picture", "main_picture"), ("Preis (EUR)", "preis_(eur)"),
])  # fmt: skip
def test_every_spelling_of_a_name_is_one_column(name: str, key: str) -> None:
    assert column_key(name) == key


def test_columns_are_found_and_mapped_in_any_spelling(tmp_path: Path) -> None:
    path = feed(tmp_path, "Item No,Image Link,Kind of Thing,Title\n1,u,x,t\n")
    columns = choose_columns(path, ["item_id=item_no", "category=KIND OF THING"])
    assert columns == {"title": "title", "image": "image_link", "item_id": "item_no", "category": "kind_of_thing"}


def test_a_field_that_is_mapped_twice_is_refused(tmp_path: Path) -> None:
    path = feed(tmp_path, "id,image_link,a,b\n1,u,x,y\n")
    with pytest.raises(BadInput, match="title has the column `a` already"):
        choose_columns(path, ["title=a", "title=b"])
    assert choose_columns(path, ["title=a", "title=A"])["title"] == "a"


@pytest.mark.parametrize("kind", ["jsonl", "xml"])
def test_columns_that_first_come_late_hold(tmp_path: Path, kind: str) -> None:
    if kind == "jsonl":
        rows = [json.dumps({"id": n, "image_link": "u"}) for n in range(1_000)]
        text = "\n".join(
            [*rows, json.dumps({"id": "late", "image_link": "u", "Adult": "yes", "Brand": "b", "own": "o"})]
        )
    else:
        items = [f"<item><g:id>{n}</g:id><g:image_link>u</g:image_link></item>" for n in range(1_000)]
        late = (
            "<g:id>late</g:id><g:image_link>u</g:image_link><g:adult>yes</g:adult><g:brand>b</g:brand><own>o</own>"
        )
        text = f"<rss>{''.join(items)}<item>{late}</item></rss>"
    path = feed(tmp_path, text, f"feed.{kind}")
    columns = choose_columns(path, ["attributes.own=own"])
    *_, last = read_feed(path)
    assert isinstance(last, FeedRow)
    assert {name: last.cells[columns[name]] for name in ("adult", "brand", "attributes.own")} == {
        "adult": "yes", "brand": "b", "attributes.own": "o",
    }  # fmt: skip


def test_a_mapping_to_a_column_that_is_not_there_is_refused_where_all_rows_are_known(tmp_path: Path) -> None:
    for name, text in (("feed.csv", "id,image_link\n1,u\n"), ("feed.jsonl", '{"id": 1, "image_link": "u"}')):
        with pytest.raises(BadInput, match="no column `maker`, it has id, image_link"):
            choose_columns(feed(tmp_path, text, name), ["brand=maker"])


def test_the_first_bad_row_is_the_message_if_there_is_no_good_one(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="line 1: the file is no XML from here on"):
        choose_columns(feed(tmp_path, "<rss><channel><item", "feed.xml"), ())
    with pytest.raises(BadInput, match="line 2: the object is not JSON"):
        choose_columns(feed(tmp_path, '\n{"id": 1, "image_link"', "feed.jsonl"), ())


@pytest.mark.parametrize(("name", "text"), [
    ("feed.xml", "<rss><channel></channel></rss>"), ("feed.json", "[]"), ("feed.json", '{"products": []}'),
    ("feed.csv", "id,image_link\n"),
])  # fmt: skip
def test_an_empty_feed_is_no_error(tmp_path: Path, name: str, text: str) -> None:
    assert choose_columns(feed(tmp_path, text, name), ())["item_id"] == "id"


@pytest.mark.parametrize(("name", "dialect", "used"), [
    ("shopify.csv", "a product export of Shopify", "image = Image Src"),
    ("shopify-2025.csv", "a product export of Shopify", "image = Product image URL"),
    ("woocommerce.csv", "a product export of WooCommerce", "title = Name"),
    ("magento.csv", "a product export of Magento", "image = base_image"),
    ("meta.csv", "a catalogue of Meta", "category = fb_product_category"),
    ("yml.xml", "a YML feed", "image = picture"),
    ("google.tsv", "tabs between its cells, UTF-8", "image = image link"),
])  # fmt: skip
def test_users_read_what_a_feed_is_taken_for(name: str, dialect: str, used: str) -> None:
    columns = choose_columns(SAMPLES / name, ())
    assert dialect in columns.summary[0]
    assert used in columns.summary[1]
    assert columns.summary[2].startswith("columns that are not used: ")


@pytest.mark.parametrize(("name", "read"), [
    ("shopify.csv", {"Published", "Option1 Value", "Image Position", "Variant Inventory Policy", "Status"}),
    ("shopify-2025.csv", {"Published on online store", "Continue selling when out of stock", "Option2 name"}),
    ("woocommerce.csv", {"Type", "Published", "Parent", "Attribute 1 value(s)", "Date sale price ends"}),
    ("magento.csv", {"product_online", "visibility", "additional_attributes", "configurable_variations"}),
])  # fmt: skip
def test_columns_that_the_reader_of_an_export_uses_are_not_named_as_unused(name: str, read: set[str]) -> None:
    unused = choose_columns(SAMPLES / name, ()).summary[2].partition(": ")[2].split(", ")
    assert not read & set(unused)
    assert "Tax class" in unused or name != "woocommerce.csv"
