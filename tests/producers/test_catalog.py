"""Catalog feeds: what each column becomes, and what bad rows say."""

import csv
import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.config.errors import BadInput
from producers.catalog import CatalogFormat, read_catalog
from producers.column_mapping import choose_columns
from producers.row_reader import BadRow, SkippedRow
from schemas.items import ItemUpserted, UrlImage

URL = "https://shop.test/a.jpg"


def read(path: Path, *mappings: str, currency: str | None = None) -> list[ItemUpserted | BadRow | SkippedRow]:
    return list(read_catalog(path, CatalogFormat(choose_columns(path, mappings), currency=currency)))


def feed(folder: Path, text: str, name: str = "feed.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def one(path: Path, *mappings: str, currency: str | None = None) -> ItemUpserted:
    [item] = read(path, *mappings, currency=currency)
    assert isinstance(item, ItemUpserted), item
    return item


def complaint(path: Path, *mappings: str) -> str:
    [row] = read(path, *mappings)
    assert isinstance(row, BadRow), row
    return row.message


GOOGLE = """id\ttitle\timage_link\tadditional_image_link\tprice\tavailability\tproduct_type\tbrand\tcolor\tlink
7\tBoot\thttps://shop.test/a.jpg\thttps://shop.test/b.jpg, https://shop.test/c.jpg\t19.90 EUR\tin stock\t\
Clothing > Shoes > Boots\tAcme\tred\thttps://shop.test/7
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_feed_in_googles_columns_needs_no_mapping(tmp_path: Path, encoding: str) -> None:
    item = one(feed(tmp_path, GOOGLE, "feed.tsv", encoding))
    assert (item.item_id, item.title, item.brand, item.category) == ("7", "Boot", "Acme", "Boots")
    assert (item.price, item.currency, item.in_stock) == (Decimal("19.90"), "EUR", True)
    assert [image.url for image in item.images if isinstance(image, UrlImage)] == [
        f"https://shop.test/{name}.jpg" for name in "abc"
    ]
    assert item.attributes == {"color": "red", "product_type": "Clothing > Shoes > Boots"}
    assert item.url == "https://shop.test/7"


def test_revisions_rise_within_a_run(tmp_path: Path) -> None:
    rows = "".join(f"{n},{URL}\n" for n in range(200))
    found = [
        item.revision for item in read(feed(tmp_path, f"id,image_link\n{rows}")) if isinstance(item, ItemUpserted)
    ]
    assert len(found) == 200
    assert found == sorted(set(found))


def test_other_columns_are_mapped(tmp_path: Path) -> None:
    text = f'sku,pic,kind,ink,cost,words,made,v\n7,{URL},Shoes,red,5,"a, b",2026-01-31,12\n'
    mappings = (
        "item_id=sku", "image=pic", "category=kind", "attributes.ink=ink", "price=cost", "tags=words",
        "created_at=made", "revision=v",
    )  # fmt: skip
    item = one(feed(tmp_path, text), *mappings, currency="GBP")
    assert (item.item_id, item.category, item.price, item.currency) == ("7", "Shoes", Decimal(5), "GBP")
    assert (item.tags, item.revision) == (("a", "b"), 12)
    assert item.created_at == datetime(2026, 1, 31, tzinfo=UTC)
    assert item.attributes == {"ink": "red"}


def test_json_lines_keep_numbers_and_lists(tmp_path: Path) -> None:
    row = {
        "id": 7,
        "image_link": URL,
        "additional_image_link": [URL, URL],
        "price": 19.90,
        "tags": ["a", "b"],
        "availability": True,
    }
    item = one(feed(tmp_path, json.dumps(row) + "\n\n", "feed.jsonl"), "tags=tags", currency="EUR")
    assert (item.item_id, item.price, item.tags, item.in_stock) == ("7", Decimal("19.9"), ("a", "b"), True)
    assert len(item.images) == 3


def test_more_pictures_than_an_event_holds_are_left_out(tmp_path: Path) -> None:
    more = ",".join([URL] * 10)
    assert len(one(feed(tmp_path, f'id,image_link,additional_image_link\n7,{URL},"{more}"\n')).images) == 8


@pytest.mark.parametrize(
    ("text", "stock", "kept"),
    [
        ("in_stock", True, {}),
        ("Out of stock", False, {}),
        ("preorder", False, {"availability": "preorder"}),
        ("", None, {}),
    ],
)
def test_availability_says_whether_it_can_be_bought_now(
    tmp_path: Path, text: str, stock: bool | None, kept: dict[str, str]
) -> None:
    item = one(feed(tmp_path, f"id,image_link,availability\n7,{URL},{text}\n"))
    assert (item.in_stock, item.attributes) == (stock, kept)


@pytest.mark.parametrize(
    ("column", "cell", "part"),
    [
        ("price", "19,90 EUR", "19.99 EUR"),
        ("price", "19.90", "--currency"),
        ("price", "-3 EUR", "-3 EUR"),
        ("availability", "maybe", "in_stock, true"),
        ("link", "shop.test/7", "`url`"),
        ("title", "x" * 501, "`title`"),
        ("image_link", "", "column `image_link` is empty"),
        ("image_link", "a.jpg", "--image-root"),
        ("id", "", "column `id` is empty"),
        ("id", "x" * 201, "`item_id`"),
    ],
)
def test_a_bad_cell_is_one_sentence(tmp_path: Path, column: str, cell: str, part: str) -> None:
    row = {"id": "7", "image_link": URL, column: cell}
    with (tmp_path / "feed.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)
    message = complaint(tmp_path / "feed.csv")
    assert part in message
    assert "\n" not in message


def test_a_bad_row_names_its_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    text = f'id,title,image_link\n1,"two\nlines",{URL}\n2,x\n\n3,x,{URL},more\n4,x,{URL}\n'
    found = read(feed(tmp_path, text))
    assert [row.item_id if isinstance(row, ItemUpserted) else row.line for row in found] == ["1", 4, 6, "4"]


def test_a_row_that_is_not_utf8_is_bad_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_bytes(f"id,title,image_link\n1,caf@,{URL}\n2,thé,{URL}\n".encode().replace(b"@", b"\xe9"))
    bad, good = read(path)
    assert isinstance(bad, BadRow)
    assert "UTF-8" in bad.message
    assert isinstance(good, ItemUpserted)


@pytest.mark.parametrize("line", ["{", "[1]", "7", '{"id": {"a": 1}, "image_link": "b"}', "\x00"])
def test_a_bad_json_line_is_one_sentence(tmp_path: Path, line: str) -> None:
    good = json.dumps({"id": "1", "image_link": URL})
    found = read(feed(tmp_path, f"{good}\n{line}\n{good}\n", "feed.jsonl"))
    assert [isinstance(row, BadRow) for row in found] == [False, True, False]


@pytest.mark.parametrize(
    ("mapping", "part"),
    [
        ("colour=color", "FIELD is item_id, title"),
        ("title", "FIELD=COLUMN"),
        ("attributes.=title", "FIELD=COLUMN"),
        ("title=name", "no column `name`, it has id, image_link"),
    ],
)
def test_a_bad_mapping_is_refused_with_what_exists(tmp_path: Path, mapping: str, part: str) -> None:
    with pytest.raises(BadInput, match=part):
        choose_columns(feed(tmp_path, f"id,image_link\n7,{URL}\n"), [mapping])


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("feed.csv", "", "is empty"),
        ("feed.csv", "sku,picture\n", "--map item_id=COLUMN; it has sku, picture"),
        ("feed.xlsx", "x", "no column `id`"),
        ("feed.jsonl", "", "is empty"),
    ],
)
def test_a_file_that_is_no_feed_is_refused_at_once(tmp_path: Path, name: str, text: str, part: str) -> None:
    with pytest.raises(BadInput) as caught:
        choose_columns(feed(tmp_path, text, name), [])
    assert part in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        choose_columns(tmp_path / "none.csv", [])


words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), min_size=1, max_size=40).filter(
    str.strip
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(words, words, st.decimals(0, 10**6, places=2)), min_size=1, max_size=5))
def test_what_is_written_is_read_whatever_the_kind_of_file(
    tmp_path: Path, rows: list[tuple[str, str, Decimal]]
) -> None:
    cells = [{"id": a, "title": b, "price": f"{price} EUR", "image_link": URL} for a, b, price in rows]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in cells))
    for name, delimiter in (("a.csv", ","), ("a.tsv", "\t")):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(cells[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(cells)
    for name in ("a.csv", "a.tsv", "a.jsonl"):
        found = [item for item in read(tmp_path / name) if isinstance(item, ItemUpserted)]
        assert [(i.item_id, i.title, i.price) for i in found] == [(a.strip(), b.strip(), p) for a, b, p in rows]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200), name=st.sampled_from(["a.csv", "a.tsv", "a.jsonl"]))
def test_no_bytes_break_the_reading(tmp_path: Path, data: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"id,image_link\n" + data if name == "a.csv" else data)
    with suppress(BadInput):
        assert all(isinstance(row, ItemUpserted | BadRow) for row in read(path))
