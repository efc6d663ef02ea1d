"""Tables: rows as exporters write them; a bad quote, byte or line end does not affect another row."""

import csv
import io
import time
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from infra.config.errors import BadInput
from producers.column_mapping import choose_columns, mapped_columns
from producers.feeds.feed_file import ReadOptions
from producers.feeds.formats import inspect_feed, read_feed
from producers.feeds.quoting import CellSyntax
from producers.row_reader import BadRow, FeedRow, Json, RowResult, SkippedRow

U = "https://shop.example/{}.jpg"
HEAD = "id,title,image_link,price\n"


def rows(
    folder: Path, text: str | bytes, name: str = "feed.csv", options: ReadOptions | None = None
) -> list[RowResult]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_feed(path, options))


def cells(folder: Path, text: str, column: str = "title", name: str = "feed.csv") -> list[Json]:
    return [row.cells.get(column) for row in rows(folder, text, name) if isinstance(row, FeedRow)]


def outline(found: list[RowResult]) -> list[object]:
    """The ids of good rows, the lines of bad and skipped ones."""
    return [row.cells["id"] if isinstance(row, FeedRow) else row.line for row in found]


LONE_QUOTES = [f'q1@"Low (LP)@{U.format(1)}@1 EUR', f"q2@t@{U.format(2)}@1 EUR", f'q3@"Best" x@{U.format(3)}@1 EUR']


def test_a_lone_quote_is_a_letter_in_a_table_with_tabs(tmp_path: Path) -> None:
    text = "\n".join(["id@title@image_link@price", *LONE_QUOTES, ""]).replace("@", "\t")
    assert cells(tmp_path, text, name="feed.tsv") == ['"Low (LP)', "t", '"Best" x']
    assert cells(tmp_path, 'id\ttitle\timage_link\tbrand\n1\t"a\tu\t"\n2\t"a\tb"\tu\tx\n') == ['"a', "a\tb"]


@pytest.mark.parametrize("delimiter", [",", ";", "|", "^"])
def test_a_lone_quote_is_a_bad_row_at_its_line_and_costs_no_other(tmp_path: Path, delimiter: str) -> None:
    text = "\n".join(["id@title@image_link@price", *LONE_QUOTES, ""]).replace("@", delimiter)
    found = rows(tmp_path, text)
    assert outline(found) == [2, "q2", "q3"]
    assert isinstance(found[0], BadRow)
    assert "a quote in column `title` is not closed" in found[0].message


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("at", [0, 4, 9])
def test_lone_quotes_anywhere_cost_their_rows_alone(tmp_path: Path, delimiter: str, at: int) -> None:
    lines = [delimiter.join([str(n), "plain", U.format(n), "1 EUR"]) for n in range(10)]
    lines[at] = delimiter.join([str(at), '"lone', U.format(at), "1 EUR"])
    lines[7] = delimiter.join(["7", '"a ""b"""' if at != 7 else '"lone', U.format(7), "1 EUR"])
    found = rows(tmp_path, "\n".join([HEAD.strip().replace(",", delimiter), *lines]))
    good = [row.cells["id"] for row in found if isinstance(row, FeedRow)]
    assert good == [str(n) for n in range(10) if n != at or delimiter == "\t"]


def test_a_cell_may_hold_lines_with_delimiters_and_quotes(tmp_path: Path) -> None:
    cell = 'First, of all\n\nit is "big", and\nround, red, new, "x"'
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([HEAD.strip().split(","), ["1", cell, U.format(1), "1"], ["2", "t", U.format(2), "2"]])
    for name, text in (("feed.csv", out.getvalue()), ("feed.tsv", None)):
        if text is None:
            out = io.StringIO()
            csv.writer(out, delimiter="\t").writerows(
                [HEAD.strip().split(","), ["1", cell, U.format(1), "1"], ["2", "t", U.format(2), "2"]]
            )
            text = out.getvalue()
        found = rows(tmp_path, text, name)
        assert [(row.line, row.cells["title"]) for row in found if isinstance(row, FeedRow)] == [
            (2, cell),
            (6, "t"),
        ]


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_the_last_cell_of_a_row_may_hold_lines(tmp_path: Path, delimiter: str) -> None:
    texts = ["Soft cotton\n\nMachine wash, cold", "plain", f'"Best"\nsee {U.format(9)}', "one line\nmore"]
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["id", "image_link", "title"])
    writer.writerows([str(number), U.format(number), text] for number, text in enumerate(texts))
    found = rows(tmp_path, out.getvalue())
    assert [row.cells["title"] if isinstance(row, FeedRow) else row for row in found] == texts


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
@pytest.mark.parametrize("following", ["plain", 'end"', '"two\nlines"', '"lone'])
def test_a_lone_quote_in_the_last_column_costs_its_row_alone(
    tmp_path: Path, delimiter: str, following: str
) -> None:
    lines = [("0", '"Rod 5'), ("1", following), ("2", "plain")]
    text = "".join(delimiter.join((name, U.format(name), title)) + "\n" for name, title in lines)
    found = rows(tmp_path, delimiter.join(["id", "image_link", "title"]) + "\n" + text)
    lone = [name for name, title in lines if title.count('"') == 1 and title.startswith('"')]
    good = [row.cells["id"] for row in found if isinstance(row, FeedRow)]
    assert good == [name for name, _ in lines if name not in lone or delimiter == "\t"]


@pytest.mark.parametrize("delimiter", [",", ";", "|"])
@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_lone_quote_before_a_cell_with_lines_costs_its_row_alone(
    tmp_path: Path, delimiter: str, place: int
) -> None:
    lines = [["0", "plain", "plain", U.format(0)], ["1", "plain", "plain", U.format(1)]]
    lines[0].insert(place, '"Rod 5')
    lines[1].insert(place, '"two ""big""\nlines"')
    header = ["id", "title", "brand", "image_link"]
    header.insert(place, "description")
    text = "".join(delimiter.join(line) + "\n" for line in [header, *lines, *lines[1:]])
    assert outline(rows(tmp_path, text)) == [2, "1", "1"]


QUOTED_CELLS = {
    "plain": "plain", '19" TV': '19" TV', '"two\nlines"': "two\nlines", '"a ""b""\nc"': 'a "b"\nc',
    '"a, b; c\n\nsee https://h.test/x.jpg"': "a, b; c\n\nsee https://h.test/x.jpg",
}  # fmt: skip
"""Cells of a table as they are written, and as they are read."""


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(["id", "title", "image_link", "price", "brand"]),
    delimiter=st.sampled_from([",", ";", "|", "\t"]),
    table=st.lists(
        st.tuples(st.sampled_from(["title", "brand"]), st.sampled_from(['"lone', *QUOTED_CELLS])),
        min_size=2, max_size=9,
    ),
)  # fmt: skip
@example(["id", "brand", "price", "title", "image_link"], ",", [("title", '"lone'), ("title", [*QUOTED_CELLS][-1])])
@example(
    ["price", "brand", "id", "title", "image_link"],
    ",",
    [("title", [*QUOTED_CELLS][-1]), ("brand", '"lone'), ("brand", '"two\nlines"')],
)
def test_lone_quotes_between_cells_with_lines_cost_their_rows_alone(
    tmp_path: Path, order: list[str], delimiter: str, table: list[tuple[str, str]]
) -> None:
    lines = [delimiter.join(order)]
    for number, (column, cell) in enumerate(table):
        row = {"id": f"i{number}", "title": "t", "image_link": U.format(number), "price": "1 EUR", "brand": "b"}
        lines.append(delimiter.join((row | {column: cell})[name] for name in order))
    found = {row.cells["id"]: row for row in rows(tmp_path, "\n".join(lines)) if isinstance(row, FeedRow)}
    for number, (column, cell) in enumerate(table):
        if cell != '"lone':
            assert found[f"i{number}"].cells[column] == QUOTED_CELLS[cell]


def test_a_quote_that_is_never_closed_costs_one_row(tmp_path: Path) -> None:
    lines = [f"{n},t,{U.format(n)},1" for n in range(300)]
    lines[5] = f'5,"never closed,{U.format(5)},1'
    assert outline(rows(tmp_path, HEAD + "\n".join(lines)))[4:7] == ["4", 7, "6"]
    text = 'id,title\n1,"a\n' + "x\n" * 100
    found = rows(tmp_path, text)
    assert isinstance(found[0], BadRow)
    assert len(found) == 101


@pytest.mark.parametrize(("line", "title"), [
    ('1,"Size 12"" wide",U,1', 'Size 12" wide'),
    ('1,"Size 12\\" wide",U,1', 'Size 12" wide'),
    ('1,"Size 12\\", wide",U,1', 'Size 12", wide'),
    ('1,Size 12" wide,U,1', 'Size 12" wide'),
    ('1, "a, b" , U,1', "a, b"),
    ('1,"a, b",U,1', "a, b"),
    ('1,"",U,1', ""),
    ('1,"""quoted""",U,1', '"quoted"'),
    ('1,"Size 12" wide",U,1', 'Size 12" wide'),
    ('1,="00123",U,1', "00123"),
    ("1,\\N,U,1", ""),
    ("1,t\0\0,U,1", "t"),
    ("'1,it's,U,1", "it's"),
])  # fmt: skip
def test_cells_are_read_as_exporters_write_them(tmp_path: Path, line: str, title: str) -> None:
    [row] = rows(tmp_path, HEAD + line + "\n")
    assert isinstance(row, FeedRow)
    assert (str(row.cells["title"]), str(row.cells["image_link"]).strip()) == (title, "U")


def test_single_quotes_are_quotes_if_the_table_uses_them(tmp_path: Path) -> None:
    text = "'id','title','image_link'\n'1','it''s red, round',U\n'2','b','U'\n"
    assert cells(tmp_path, text) == ["it's red, round", "b"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^", "~", "\x01", "\x1f", "¦", "||"])
@pytest.mark.parametrize("name", ["feed.csv", "feed.txt", "feed.dat", "feed", "feed.tab"])
def test_the_delimiter_is_found_whatever_the_suffix(tmp_path: Path, delimiter: str, name: str) -> None:
    lines = [["id", "title", "image_link"], ["1", "Red: a, b; c/d", U.format(1)], ["2", "x", U.format(2)]]
    if delimiter in (",", ";"):
        lines[1][1] = f'"{lines[1][1]}"'
    found = rows(tmp_path, "\n".join(delimiter.join(line) for line in lines), name)
    assert [row.cells["title"] for row in found if isinstance(row, FeedRow)] == ["Red: a, b; c/d", "x"]


def test_cells_between_long_delimiters_may_be_quoted(tmp_path: Path) -> None:
    assert cells(tmp_path, 'id||title||image_link\n1||"a || b"||u\n2||"c"||v\n') == ["a || b", "c"]


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    assert cells(tmp_path, f'id,title,image_link\n1,"{"x" * 200_000}",u\n2,"c",v\n')[1] == "c"


def test_the_delimiter_is_found_by_the_rows_if_no_name_is_known(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_text("sku|kind, make|pic\n1|a, b|u\n2|c|u\n")
    assert list(choose_columns(path, ["item_id=sku", "image=pic"]).values()) == ["sku", "pic"]


def test_the_line_with_the_columns_that_a_user_maps_is_the_header(tmp_path: Path) -> None:
    path = tmp_path / "flat.txt"
    path.write_text(
        "TemplateType=fptcustom\tVersion=2026.1\tThe top 3 rows are for Amazon.com use only.\t\n"
        "Seller SKU\tProduct Name\tStandard Price\tMain Image URL\n"
        "item_sku\titem_name\tstandard_price\tmain_image_url\n"
        "A1\tRed shoe\t39.99\thttps://h.test/a.jpg\n"
    )
    options = ReadOptions(mapped=mapped_columns(["item_id=item_sku", "image=main_image_url"]))
    [row] = read_feed(path, options)
    assert isinstance(row, FeedRow)
    assert (row.line, row.cells["item_sku"], row.cells["main_image_url"]) == (4, "A1", "https://h.test/a.jpg")


def test_the_delimiter_can_be_given(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_text("id§title§image_link\n1§a;b§u\n")
    [row] = read_feed(path, ReadOptions(delimiter="§"))
    assert isinstance(row, FeedRow)
    for name in ("", "\n", '"', "none of these"):
        with pytest.raises(BadInput, match="cannot separate cells"):
            list(read_feed(path, ReadOptions(delimiter=name)))
    path.write_text("id\ttitle,image_link\n1\ta,u\n")
    assert set(inspect_feed(path, ReadOptions(delimiter="tab")).names) == {"id", "title,image_link"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_ends_a_line(tmp_path: Path, end: str) -> None:
    text = end.join(["id,title,image_link", "1,a,u", "", f'2,"b{end}c",u', "3,d,u,x,y", "4,e,u"])
    found = rows(tmp_path, text)
    assert outline(found) == ["1", "2", 6, "4"]
    assert isinstance(found[1], FeedRow)
    assert found[1].cells["title"] == "b\nc"


def test_line_ends_may_be_mixed(tmp_path: Path) -> None:
    assert outline(rows(tmp_path, "id,title\r\n1,a\n2,b\r3,c\r\n\r\n4,d")) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("above", [
    "sep=;\n", '"sep=;"\r\n', "\n\n", "# exported 2026-11-30\n", "Product export\n\n",
    "Shop: Round and Sons;;;\n;;;\n", "Report of products\nCreated 30.11.2026 10:00\n\n",
])  # fmt: skip
def test_lines_above_the_header_are_passed_over_and_reported(tmp_path: Path, above: str) -> None:
    path = tmp_path / "feed.csv"
    path.write_text(f"{above}ID;Title;Image Link;Price\n1;a;{U.format(1)};2\n2;b;{U.format(2)};3\n", newline="")
    assert outline(list(read_feed(path))) == ["1", "2"]
    assert not above.strip() or "above the header" in choose_columns(path, ()).summary[-1]


def test_a_row_with_names_of_columns_is_no_header(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_text("artnr;bild;opt1;opt2\n7;u;Color;Size\n8;v;Color;Material\n")
    assert list(choose_columns(path, ["item_id=artnr", "image=bild"]).values()) == ["artnr", "bild"]
    assert len(list(read_feed(path))) == 2


def test_a_header_may_be_commented_and_hold_line_ends(tmp_path: Path) -> None:
    assert cells(tmp_path, "#id,title,image_link\n1,a,u\n") == ["a"]
    assert cells(tmp_path, 'id,"title","image\nlink"\n1,a,u\n', "image_link") == ["u"]


def test_lines_that_are_quoted_as_a_whole_are_rows(tmp_path: Path) -> None:
    text = '"id,title,image_link"\n"1,""a, b"",u"\n"2,b,v"\n'
    assert cells(tmp_path, text) == ["a, b", "b"]


def test_blank_lines_and_the_end_mark_of_dos_are_no_rows(tmp_path: Path) -> None:
    assert outline(rows(tmp_path, "id,image_link\n   \n1,u\n , \n\t\n2,v\n\x1a")) == ["1", "2"]


def test_a_repeated_header_is_skipped_with_a_message(tmp_path: Path) -> None:
    found = rows(tmp_path, HEAD + "1,a,u,2\n" + HEAD + "2,b,u,3\n")
    assert outline(found) == ["1", 3, "2"]
    assert isinstance(found[1], SkippedRow)


def test_columns_without_names_are_numbered(tmp_path: Path) -> None:
    [row] = rows(tmp_path, ",id,,image_link,\n0,1,x,u,\n")
    assert isinstance(row, FeedRow)
    assert row.cells == {"column_1": "0", "id": "1", "column_3": "x", "image_link": "u", "column_5": ""}
    assert choose_columns(tmp_path / "feed.csv", ["title=column 3"])["title"] == "column_3"


def test_the_first_of_repeated_columns_with_a_value_counts_and_of_pictures_all_do(tmp_path: Path) -> None:
    text = "id,id,title,title,image_link,image_link,Image Link\n1,2,,b,u,,v\n3,,a,b,u,,\n"
    first, second = rows(tmp_path, text)
    assert isinstance(first, FeedRow)
    assert isinstance(second, FeedRow)
    assert first.cells == {"id": "1", "title": "b", "image_link": ["u", "v"]}
    assert second.cells == {"id": "3", "title": "a", "image_link": "u"}
    assert (
        "columns of the same name (id, title, image_link)" in choose_columns(tmp_path / "feed.csv", ()).summary[-1]
    )


def test_fewer_cells_and_empty_cells_too_many_are_fine(tmp_path: Path) -> None:
    found = rows(tmp_path, HEAD + "1\n2,a,u,1,,,\n3,a,u,1,more\n,,,\n")
    assert outline(found) == ["1", "2", 4]
    assert isinstance(found[2], BadRow)
    assert "5 cells, the header 4" in found[2].message


def test_a_header_alone_is_a_feed_without_rows(tmp_path: Path) -> None:
    for text in (HEAD, HEAD.strip(), HEAD + "\n\n"):
        assert rows(tmp_path, text) == []
        columns = choose_columns(tmp_path / "feed.csv", ())
        assert (columns["item_id"], "the feed has no products" in columns.summary) == ("id", True)


def test_a_nul_within_a_cell_is_a_bad_row(tmp_path: Path) -> None:
    assert outline(rows(tmp_path, HEAD + "1,a\0b,u,1\n2,a,u,1\n")) == [2, "2"]


def test_a_line_that_is_too_long_is_a_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tables", "feed_file"):
        monkeypatch.setattr(f"producers.feeds.{module}.MAX_LINE", 1_000)
    found = rows(
        tmp_path, HEAD + "".join(f"{n},a,u,1\n" for n in range(300)) + f"x,{'a' * 5_000},u,1\nlast,a,u,1\n"
    )
    assert outline(found)[-2:] == [302, "last"]


def test_quotes_of_an_attacker_take_linear_time(tmp_path: Path) -> None:
    started = time.process_time()
    for text in (
        '"x\n' * 100_000,
        '"' * 300_000 + "\n",
        'a"' * 200_000,
        '"",' * 100_000 + "\n",
        " " * 300_000 + '"',
    ):
        list(rows(tmp_path, "id,image_link\n" + text))
    assert time.process_time() - started < 10


@pytest.mark.parametrize(("text", "part"), [
    ("", "is empty"), ("\n \n", "is empty"),
    ("<html><head><title>Log in</title></head></html>", "an HTML page (`Log in`)"),
    ("<!DOCTYPE html><p>404</p>", "HTML page"), ("%PDF-1.7", "PDF"), ("\x89PNG\r\n", "no"),
    ("1,Boot,https://shop.example/a.jpg\n2,Shoe,https://shop.example/b.jpg\n", "has no header"),
    ("sku,picture\n1,u\n", "--map item_id=COLUMN; it has sku, picture"),
    ("just a text\nof some lines\n", "no column `id`"),
])  # fmt: skip
def test_what_is_no_feed_says_what_it_seems_to_be(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "feed.csv"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        choose_columns(path, ())
    assert part in str(caught.value)


@pytest.mark.parametrize("data", [bytes(range(256)) * 20, b"\x00\x01\x02" * 500, b"\xd0\xcf\x11\xe0" + bytes(600)])
def test_binary_files_show_no_garbage(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "feed.csv"
    path.write_bytes(data)
    with pytest.raises(BadInput) as caught:
        choose_columns(path, ())
    assert str(caught.value).isprintable()


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=st.lists(st.tuples(texts, texts), min_size=1, max_size=8),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_csv_writes_is_read(
    tmp_path: Path, table: list[tuple[str, str]], delimiter: str, quoting: Literal[0, 1]
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\n")
    writer.writerow(["id", "title", "brand", "image_link"])
    for number, (title, brand) in enumerate(table):
        writer.writerow([str(number), title, brand, U.format(number)])
    found = rows(tmp_path, out.getvalue())
    for number, (title, brand) in enumerate(table):
        matches = [row for row in found if isinstance(row, FeedRow) and row.cells["id"] == str(number)]
        assert len(matches) <= 1
        for row in matches if "\n" not in title + brand else ():
            assert (row.cells["title"], row.cells["brand"]) == (title, brand)
    plain = [n for n, pair in enumerate(table) if not set("".join(pair)) & set('\n"=\\\x85\u2028')]
    assert {str(n) for n in plain} <= {row.cells["id"] for row in found if isinstance(row, FeedRow)}


@pytest.mark.parametrize(("delimiter", "name"), [
    ("\x01", "`\\x01`"), ("\x1f", "`\\x1f`"), ("\u2028", "`\\u2028`"), (";", "`;`"), ("¦", "`¦`"), ("\t", "tabs"),
])  # fmt: skip
def test_users_read_the_delimiter_without_control_characters(delimiter: str, name: str) -> None:
    assert CellSyntax(delimiter).describe() == name
