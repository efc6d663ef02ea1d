"""Catalog feeds: the fact of each column, and the messages of bad rows."""

import csv
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.config.errors import BadInput
from producers.catalog import CatalogFormat, CatalogReader, read_items
from producers.column_mapping import choose_columns
from producers.feed_item import FeedItem
from producers.feeds.column_names import GOOGLE_COLUMNS
from producers.image_packer import ImagePacker
from producers.image_refs import FolderImages, Locate, refuse_paths
from producers.row_reader import BadRow, FeedRow, SkippedRow
from schemas.items import ItemPatched, ItemUpserted, UrlImage
from tests.producers.feed_events import EventResult, events_of

URL = "https://shop.test/a.jpg"
COLUMNS = {**GOOGLE_COLUMNS, "created_at": "created", "revision": "revision"}


def read(path: Path, *mappings: str, currency: str | None = None) -> list[EventResult]:
    return list(events_of(read_items(path, CatalogFormat(choose_columns(path, mappings), currency=currency))))


def feed(folder: Path, text: str, name: str = "feed.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def one(path: Path, *mappings: str, currency: str | None = None) -> ItemUpserted:
    [item] = read(path, *mappings, currency=currency)
    assert isinstance(item, ItemUpserted), item
    return item


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
        "additional_image_link": [URL, f"{URL}?2", f"{URL}?3"],
        "price": 19.90,
        "tags": ["a", "b"],
        "availability": True,
    }
    item = one(feed(tmp_path, json.dumps(row) + "\n\n", "feed.jsonl"), "tags=tags", currency="EUR")
    assert (item.item_id, item.price, item.tags, item.in_stock) == ("7", Decimal("19.9"), ("a", "b"), True)
    assert len(item.images) == 3


def test_more_pictures_than_an_event_holds_are_left_out(tmp_path: Path) -> None:
    more = ",".join(f"{URL}?{n}" for n in range(10))
    assert len(one(feed(tmp_path, f'id,image_link,additional_image_link\n7,{URL},"{more}"\n')).images) == 8


@pytest.mark.parametrize(
    ("text", "stock", "stock_facts"),
    [
        ("in_stock", True, {}),
        ("Out of stock", False, {}),
        ("preorder", False, {"availability": "preorder"}),
        ("", None, {}),
    ],
)
def test_availability_says_whether_it_can_be_bought_now(
    tmp_path: Path, text: str, stock: bool | None, stock_facts: dict[str, str]
) -> None:
    item = one(feed(tmp_path, f"id,image_link,availability\n7,{URL},{text}\n"))
    assert (item.in_stock, item.attributes) == (stock, stock_facts)


@pytest.mark.parametrize(
    ("column", "cell", "part"),
    [
        ("image_link", "", "column `image_link` is empty"),
        ("image_link", "a.jpg", "column `image_link`: `a.jpg` is a path: say where pictures lie with --image-root"),
        ("image_link", "ftp://h/a.jpg", "column `image_link`: `ftp://h/a.jpg` is of the kind ftp"),
        ("id", "", "column `id` is empty"),
        ("id", "x" * 201, "column `id`: item_id"),
        ("id", "a\tb", "holds control characters"),
        ("revision", "soon", "column `revision`: revision `soon` is neither a whole number nor a time"),
    ],
)
def test_a_row_without_id_picture_or_readable_revision_is_one_sentence(column: str, cell: str, part: str) -> None:
    message = refusal(**{column: cell})
    assert part in message
    assert "\n" not in message


def read_row(columns: Mapping[str, str] = COLUMNS, /, **cells: object) -> FeedItem:
    """The item of a row with these cells in addition to its id and picture."""
    row = FeedRow(7, {"id": "7", "image_link": URL, **cells})
    item = CatalogReader(CatalogFormat(columns, currency="EUR")).read(row, 5)
    assert isinstance(item, FeedItem), item
    return item


def refusal(locate: Locate = refuse_paths, /, **cells: object) -> str:
    row = FeedRow(7, {"id": "7", "image_link": URL, **cells})
    bad = CatalogReader(CatalogFormat(COLUMNS, locate)).read(row, 5)
    assert isinstance(bad, BadRow), bad
    return bad.message


def urls_of(item: FeedItem) -> list[str]:
    assert isinstance(item.event, ItemUpserted)
    return [image.url for image in item.event.images if isinstance(image, UrlImage)]


@pytest.mark.parametrize(
    ("cells", "field", "note"),
    [
        ({"price": "12 abc"}, "price", "price: `12 abc` is left out"),
        ({"price": "-3 EUR"}, "price", "price: `-3 EUR` is left out: it is below zero"),
        ({"price": {"x": 1}}, "price", 'price: `{"x": 1}` is left out'),
        ({"availability": "maybe"}, "in_stock", "availability: `maybe` is left out"),
        ({"link": "shop.test/7"}, "url", "link: `shop.test/7` is left out: it is no http or https URL"),
        ({"link": "https://h/" + "x" * 3_000}, "url", "link: "),
        ({"title": "\ud800"}, "title", "title: it is left out"),
        ({"brand": {"id": 1}}, "brand", "brand: "),
        ({"created": "soon"}, "created_at", "created: `soon` is left out: it is no date or time"),
        ({"color": ["\ud800"]}, "attributes", "color: the attribute 'color' is left out"),
    ],
)
def test_a_fact_that_cannot_be_read_is_left_out_and_named(cells: dict[str, object], field: str, note: str) -> None:
    item = read_row(**cells)
    assert getattr(item.event, field) in (None, (), {})
    assert [each for each in item.left_out if each.startswith(note)], item.left_out


@pytest.mark.parametrize("separator", [" > ", ">", " | ", " » ", "\u203a", " → ", " &gt; "])
def test_the_category_is_the_last_part_of_its_path(separator: str) -> None:
    event = read_row(product_type=separator.join(("Clothing", "Shoes", "Boots"))).event
    assert isinstance(event, ItemUpserted)
    assert (event.category, event.attributes) == ("Boots", {"product_type": "Clothing > Shoes > Boots"})


@pytest.mark.parametrize("name", ["Boots", "Boots|Shoes", "Tees / Tops", "A - B"])
def test_a_category_without_a_path_is_taken_whole(name: str) -> None:
    event = read_row(product_type=name).event
    assert isinstance(event, ItemUpserted)
    assert (event.category, event.attributes) == (name, {})


@pytest.mark.parametrize(
    ("cells", "field", "value", "note"),
    [
        ({"title": "x" * 600}, "title", "x" * 500, "title: 600 characters are cut to 500"),
        ({"brand": "x" * 201}, "brand", "x" * 200, "brand: 201 characters are cut to 200"),
        (
            {"product_type": "a > " + "x" * 201},
            "category",
            "x" * 200,
            "product_type: 201 characters are cut to 200",
        ),
        (
            {"tags": ",".join(map(str, range(250)))},
            "tags",
            tuple(map(str, range(50))),
            "tags: of 250 the first 50 are used",
        ),
        ({"tags": ["a", "x" * 201, "b"]}, "tags", ("a", "b"), "tags: a part of it is left out"),
        ({"color": "x" * 501}, "attributes", {"color": "x" * 500}, "color: 501 characters are cut to 500"),
        ({"brand": ["Acme", "Other"]}, "brand", "Acme", "brand: of 2 values the first is used"),
    ],
)
def test_a_fact_that_is_too_long_is_cut(cells: dict[str, object], field: str, value: object, note: str) -> None:
    item = read_row(**cells)
    assert getattr(item.event, field) == value
    assert [each for each in item.left_out if each.startswith(note)], item.left_out


def test_more_attributes_than_an_event_holds_are_left_out() -> None:
    columns = {**COLUMNS, **{f"attributes.a{n}": f"a{n}" for n in range(60)}}
    item = read_row(columns, **{f"a{n}": "x" for n in range(60)})
    assert isinstance(item.event, ItemUpserted)
    assert len(item.event.attributes) == 50
    assert "of 60 the first 50 are used" in item.left_out[0]


def test_all_facts_of_a_row_may_be_wrong() -> None:
    cells = {name: "\ud800" for name in COLUMNS.values() if name not in ("id", "image_link", "revision")}
    item = read_row(**cells)
    assert isinstance(item.event, ItemUpserted)
    assert (item.event.item_id, item.line, item.event.moderation) == ("7", 7, ("adult",))
    assert len(item.left_out) >= 10


@pytest.mark.parametrize(
    ("cells", "labels", "count"),
    [
        ({"adult": "yes"}, ("adult",), 0),
        ({"adult": "TRUE"}, ("adult",), 0),
        ({"adult": "no"}, (), 0),
        ({"adult": ""}, (), 0),
        ({"adult": False}, (), 0),
        ({"adult": "perhaps"}, ("adult",), 1),
        ({"adult": {"x": 1}}, ("adult",), 1),
        ({"adult": []}, (), 0),
        ({"moderation": "Nudity, Mild Violence"}, ("nudity", "mild_violence"), 0),
        ({"moderation": ["nudity"], "adult": "1"}, ("adult", "nudity"), 0),
        ({"moderation": "\u6210\u4eba"}, ("adult",), 1),
        ({"moderation": {"x": 1}}, ("adult",), 1),
    ],
)
def test_moderation_that_cannot_be_read_hides_the_item(
    cells: dict[str, object], labels: tuple[str, ...], count: int
) -> None:
    item = read_row(**cells)
    assert isinstance(item.event, ItemUpserted)
    assert (item.event.moderation, len(item.left_out)) == (labels, count)


def test_more_labels_than_an_event_holds_hide_the_item() -> None:
    item = read_row(moderation=[f"l{n}" for n in range(30)], adult="yes")
    assert isinstance(item.event, ItemUpserted)
    assert len(item.event.moderation) == 20
    assert "adult" in item.event.moderation


def test_a_url_with_a_comma_is_one_picture() -> None:
    item = read_row(additional_image_link="https://res.test/c_fill,w_300/b.jpg, https://res.test/c.jpg")
    assert urls_of(item) == [URL, "https://res.test/c_fill,w_300/b.jpg", "https://res.test/c.jpg"]


@pytest.mark.parametrize(
    "cell",
    [
        ["https://h/1.jpg", "https://h/2.jpg", "https://h/1.jpg"],
        '["https://h/1.jpg", "https://h/2.jpg"]',
        "https://h/1.jpg, https://h/2.jpg",
        "https://h/1.jpg|https://h/2.jpg",
        "https://h/1.jpg\nhttps://h/2.jpg",
        [{"src": "https://h/1.jpg"}, {"url": "https://h/2.jpg"}],
        "//h/1.jpg;//h/2.jpg",
        [["https://h/1.jpg"], "https://h/2.jpg"],
    ],
)
def test_of_several_pictures_the_first_is_the_main_one(cell: object) -> None:
    assert urls_of(read_row(image_link=cell)) == ["https://h/1.jpg", "https://h/2.jpg"]


def test_a_picture_that_cannot_be_used_is_replaced_by_the_next() -> None:
    item = read_row(image_link="ftp://h/a.jpg", additional_image_link="https://h/b.jpg")
    assert urls_of(item) == ["https://h/b.jpg"]
    assert item.left_out[0].startswith("image_link: a picture is left out: `ftp://h/a.jpg`")
    item = read_row(image_link="", additional_image_link="https://h/b.jpg")
    assert urls_of(item) == ["https://h/b.jpg"]


def test_a_missing_file_costs_its_picture_and_an_unmounted_folder_the_row(tmp_path: Path, picture: bytes) -> None:
    (tmp_path / "a.png").write_bytes(picture)
    row = FeedRow(1, {"id": "7", "image_link": "none.png", "additional_image_link": "a.png"})
    item = CatalogReader(CatalogFormat(COLUMNS, FolderImages(tmp_path, ImagePacker()))).read(row, 5)
    assert isinstance(item, FeedItem)
    assert "there is no picture file `none.png`" in item.left_out[0]
    assert "is not there: mount it" in refusal(FolderImages(tmp_path / "none", ImagePacker()), image_link="a.png")


@pytest.mark.parametrize(("id", "expected"), [("19.0", "19.0"), (["7", "8"], "7"), (" 7 ", "7"), ("007", "007")])
def test_ids_stay_the_text_that_they_are(id: object, expected: str) -> None:
    assert read_row(id=id).event.item_id == expected


@pytest.mark.parametrize(
    ("cell", "revision"), [("12", 12), ("2026-01-31T00:00:00Z", 1_769_817_600_000_000), ("", 5), (None, 5)]
)
def test_a_revision_is_a_number_or_a_time(cell: object, revision: int) -> None:
    assert read_row(revision=cell).event.revision == revision


@pytest.mark.parametrize("cell", ["0000-00-00", "0000-00-00 00:00:00", "0", "1970-01-01T00:00:00Z", "", None])
def test_a_date_of_zeros_is_no_date(cell: object) -> None:
    item = read_row(created=cell)
    assert isinstance(item.event, ItemUpserted)
    assert (item.event.created_at, item.left_out) == (None, ())


def test_a_patch_has_the_facts_that_depend_on_no_unavailable_column() -> None:
    reader = CatalogReader(CatalogFormat({"item_id": "id", "image": "image_link", "title": "t", "price": "p",
        "attributes.color": "c", "in_stock": "s", "brand": "b"}, currency="EUR"))  # fmt: skip
    cells = {"id": "7", "image_link": URL, "t": "Boot", "p": "3", "s": "yes", "b": None}
    item = reader.read_patch(FeedRow(1, cells), 5, {"c", "image_link"})
    assert isinstance(item, FeedItem)
    assert isinstance(item.event, ItemPatched)
    facts = item.event.facts.model_dump(exclude_unset=True)
    assert facts == {"title": "Boot", "price": Decimal(3), "currency": "EUR", "in_stock": True, "brand": None}
    skipped = CatalogReader(CatalogFormat({"item_id": "id", "image": "image_link"})).read_patch(
        FeedRow(1, cells), 5, {"image_link"}
    )
    assert isinstance(skipped, SkippedRow)


def test_a_bad_row_names_its_line_and_reading_continues(tmp_path: Path) -> None:
    text = f'id,title,image_link\n1,"two\nlines",{URL}\n2,x\n\n3,x,{URL},more\n4,x,{URL}\n'
    found = read(feed(tmp_path, text))
    assert [row.line if isinstance(row, BadRow) else getattr(row, "item_id", "") for row in found] == [
        "1",
        4,
        6,
        "4",
    ]


def test_a_row_that_is_not_utf8_is_bad_and_reading_continues(tmp_path: Path) -> None:
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


cell_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("\ud800")
    | st.sampled_from(["12,00 EUR", "https://h/a.jpg", '["a", "b"]', '{"name": "x"}', "x" * 600, "a,b;c|d"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["name", "value", "url", "amount", "currency", "x"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(cells=st.dictionaries(st.sampled_from(sorted(set(COLUMNS.values()) - {"id", "revision"})), cell_values))
def test_no_side_fact_costs_the_item(cells: dict[str, object]) -> None:
    item = read_row(**{**cells, "image_link": URL})
    assert item.event.item_id == "7"
    assert all(": " in sentence and "\n" not in sentence.partition("`")[0] for sentence in item.left_out)
    CatalogReader(CatalogFormat(COLUMNS)).read(FeedRow(7, {"id": "7", **cells}), 5)
    CatalogReader(CatalogFormat(COLUMNS)).read_patch(FeedRow(7, {"id": "7", **cells}), 5, {"title", "image_link"})


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200), name=st.sampled_from(["a.csv", "a.tsv", "a.jsonl"]))
def test_no_bytes_break_the_reading(tmp_path: Path, data: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"id,image_link\n" + data if name == "a.csv" else data)
    with suppress(BadInput):
        assert all(isinstance(row, ItemUpserted | BadRow) for row in read(path))
