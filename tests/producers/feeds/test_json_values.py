"""JSON feeds: lines, arrays, objects around arrays, and the values after an error."""

import json
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.feeds import json_text
from producers.feeds.json_values import read_objects
from producers.row_reader import BadRow, FeedRow

A, B, C = '{"id": 1, "title": "a"}', '{"id": 2, "title": "b"}', '{"id": 3, "title": "c"}'
PRETTY = json.dumps([{"id": n, "images": [{"src": "u"}, {"src": "v"}]} for n in (1, 2, 3)], indent=2)


def rows(folder: Path, text: str, name: str = "feed.json") -> list[FeedRow | BadRow]:
    path = folder / name
    path.write_text(text, newline="")
    return list(read_objects(path))


def outline(found: list[FeedRow | BadRow]) -> list[object]:
    """Lines and ids of good rows, lines of bad ones."""
    return [(row.line, row.cells.get("id")) if isinstance(row, FeedRow) else row.line for row in found]


@pytest.mark.parametrize(("text", "expected"), [
    (f"{A}\n{B}\n\n{C}", [(1, "1"), (2, "2"), (4, "3")]),
    (f"{A}\r\n{B}\r\n", [(1, "1"), (2, "2")]),
    (f"{A}\r{B}\r{C}", [(1, "1"), (2, "2"), (3, "3")]),
    (f"\ufeff{A}\n{B}", [(1, "1"), (2, "2")]),
    (f"\x1e{A}\n\x1e{B}\n", [(1, "1"), (2, "2")]),
    (f"{A},\n{B},\n", [(1, "1"), (2, "2")]),
    (f"{A}{B} {C}", [(1, "1"), (1, "2"), (1, "3")]),
    (f"[{A}, {B}]", [(1, "1"), (1, "2")]),
    (f"[\n{A},\n{B}\n]\n", [(2, "1"), (3, "2")]),
    (f"[{A}]\n[{B}]", [(1, "1"), (2, "2")]),
    (PRETTY, [(2, "1"), (13, "2"), (24, "3")]),
    (json.dumps(json.loads(A), indent=1) + "\n" + json.dumps(json.loads(B), indent=1), [(1, "1"), (5, "2")]),
    ("[]", []), ("[\n]", []), ('{"products": []}', []), ('{"data": {"items": []}}', []),
])  # fmt: skip
def test_objects_are_read_wherever_they_stand(tmp_path: Path, text: str, expected: list[object]) -> None:
    for name in ("feed.json", "feed.jsonl", "feed"):
        assert outline(rows(tmp_path, text, name)) == expected


@pytest.mark.parametrize("around", [
    '{"products": [%]}', '{"items":[%]}', '{"data":[%], "next": null}', '{"count": 2, "results": [%]}',
    '{"name": "My shop", "url": "u", "products": [%]}', '{"data": {"products": [%]}}', '{"feed": {"entry": [%]}}',
    '{"rss": {"channel": {"title": "Shop", "item": [%]}}}', '{"catalogue_2026": [%]}', '{"Products": [%]}',
    '{"@context": "c", "id": "o", "type": "OrderedCollection", "orderedItems": [%]}',
    '{"meta": {"page": {"items": 7}}, "tags": ["a", "b"], "products": [%]}'
])  # fmt: skip
@pytest.mark.parametrize("indent", [None, 2])
def test_an_object_around_an_array_of_products_is_opened(tmp_path: Path, around: str, indent: int | None) -> None:
    text = json.dumps(json.loads(around.replace("%", f"{A}, {B}")), indent=indent)
    assert [row.cells["title"] for row in rows(tmp_path, text) if isinstance(row, FeedRow)] == ["a", "b"]


def test_products_by_their_ids_are_read(tmp_path: Path) -> None:
    text = '{"a": {"title": "A", "image_link": "u"}, "b": {"id": 2, "title": "B", "image_link": "v"}}'
    for indent in (None, 2):
        found = rows(tmp_path, json.dumps(json.loads(text), indent=indent))
        assert [row.cells["id"] for row in found if isinstance(row, FeedRow)] == ["a", "2"]
        found = rows(tmp_path, json.dumps({"products": json.loads(text)}, indent=indent))
        assert [row.cells["id"] for row in found if isinstance(row, FeedRow)] == ["a", "2"]


def test_a_table_by_its_columns_is_named(tmp_path: Path) -> None:
    for text in ('{"id": [1, 2], "image_link": ["u", "v"]}', '{"id": {"0": 1, "1": 2}, "image_link": {"0": "u"}}'):
        [bad] = rows(tmp_path, text)
        assert isinstance(bad, BadRow)
        assert "by its columns" in bad.message


def test_products_of_graphql_and_elasticsearch_are_found(tmp_path: Path) -> None:
    text = '{"data": {"products": {"edges": [{"cursor": "c", "node": {"id": 1}}, {"node": {"id": 2}}]}}}'
    assert outline(rows(tmp_path, text)) == [(1, "1"), (1, "2")]
    text = '{"took": 3, "hits": {"total": 1, "hits": [{"_id": "x", "_score": 1.0, "_source": {"id": 7}}]}}'
    assert outline(rows(tmp_path, text)) == [(1, "7")]


@pytest.mark.parametrize("text", [
    '{"id": 1, "images": [{"src": "u"}], "variants": [{"id": 5}]}',
    '{"id": 1, "title": "a", "reviews": [{"text": "good"}]}',
    '{"sku": "x", "id": 1, "items": [{"id": 5}]}',
    '{"@context": [{"a": "b"}], "tag": [{"name": "x"}], "id": 1, "type": "Note"}',
    '{"type": "Create", "id": 1, "object": {"attachment": [{"id": 5}]}}',
])  # fmt: skip
def test_the_arrays_of_a_product_are_its_parts(tmp_path: Path, text: str) -> None:
    for indent in (None, 2):
        assert outline(rows(tmp_path, json.dumps(json.loads(text), indent=indent))) == [(1, "1")]


BROKEN = {
    "a trailing comma": '{"id": 2, "title": "b",}', "single quotes": "{'id': 2}", "no value": '{"id": 2, "t": }',
    "a lone quote": '{"id": 2, "title": "5" pipe"}', "a quote that is not closed": '{"id": 2, "title": "pipe}',
    "no comma": '{"id": 2 "title": "b"}', "a bare word": '{"id": 2, "title": None}', "a number": "2",
    "a bad escape": '{"id": 2, "title": "\\x"}', "a text": '"b"', "null": "null",
    "brackets too many": '{"id": 2, "tags": ["b"]]}', "deep arrays": '{"id": 2, "x": ' + "[" * 100_000 + "}",
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("form", ["lines", "array", "compact", "wrapped"])
def test_a_broken_object_is_a_bad_row_and_what_follows_is_read(tmp_path: Path, broken: str, form: str) -> None:
    objects = [A, broken, C, '{"id": 4, "title": "d"}']
    text = {
        "lines": "\n".join(objects),
        "array": "[\n" + ",\n".join(objects) + "\n]",
        "compact": "[" + ",".join(objects) + "]",
        "wrapped": '{"products": [\n  ' + ",\n  ".join(objects) + "\n]}",
    }[form]
    found = rows(tmp_path, text)
    good = [row.cells["id"] for row in found if isinstance(row, FeedRow)]
    bad = [row for row in found if isinstance(row, BadRow)]
    assert (good[0], good[-2:]) == ("1", ["3", "4"])
    assert bad[0].line == {"lines": 2, "array": 3, "compact": 1, "wrapped": 3}[form]
    assert len(bad) <= 2


@pytest.mark.parametrize("stray", ["}", "]", "}}", "]}", "},", ",]", "} ]"])
@pytest.mark.parametrize("head", ['{"products": [\n', '{"data": {"products": [\n'])
def test_brackets_too_many_between_products_cost_none(tmp_path: Path, stray: str, head: str) -> None:
    products = [f'{{"id": {number}, "title": "t"}}' for number in range(8)]
    text = head + ",\n".join(products[:4]) + f",\n{stray}" + ",\n".join(products[4:]) + "\n]}\n"
    found = [row.cells["id"] for row in rows(tmp_path, text) if isinstance(row, FeedRow)]
    assert found == [str(number) for number in range(8)]


def test_text_between_products_has_its_line_and_costs_none(tmp_path: Path) -> None:
    products = [f'{{"id": {number}, "title": "t"}}' for number in range(8)]
    text = '{"products": [\n' + ",\n".join(products[:4]) + "]\n, rest\n" + ",\n".join(products[4:]) + "\n]}\n"
    found = rows(tmp_path, text)
    assert [row.cells["id"] for row in found if isinstance(row, FeedRow)] == [str(number) for number in range(8)]
    assert [row.line for row in found if isinstance(row, BadRow)] == [6]


@pytest.mark.parametrize("broken", ['{"id": 2, "a": {"b": [{"c": 1}', '{"id": 2, "a": [{"b": {'])
@pytest.mark.parametrize("indent", ["", "  "])
@pytest.mark.parametrize("last", [4, 20_000])
def test_a_bracket_that_is_not_closed_costs_its_object_alone(
    tmp_path: Path, broken: str, indent: str, last: int
) -> None:
    numbers = {str(number) for number in range(3, last + 1)}
    lines = [A, broken, *(json.dumps({"id": number, "image_link": "u"}) for number in numbers)]
    found = rows(tmp_path, '{"items": [\n' + ",\n".join(indent + line for line in lines) + "\n]}\n")
    good = {str(row.cells["id"]) for row in found if isinstance(row, FeedRow)}
    assert ({"1", *numbers} - good) == set()
    assert next(row.line for row in found if isinstance(row, BadRow)) == 3


def test_a_broken_object_in_a_pretty_printed_file_costs_itself_alone(tmp_path: Path) -> None:
    lines = PRETTY.split("\n")
    lines[12] = '    "id": 2 pipes",'
    found = rows(tmp_path, "\n".join(lines))
    assert outline([row for row in found if isinstance(row, FeedRow)]) == [(2, "1"), (24, "3")]
    assert any(isinstance(row, BadRow) and 12 <= row.line <= 14 for row in found)


@pytest.mark.parametrize(
    "text", [f"[{A}, {B}", f'{{"products": [{A}, {B}', f"[{A}, {B}, {{", f'[{A}, {B}, {{"id": ']
)
def test_a_file_that_is_cut_off_gives_what_is_whole_and_says_so(tmp_path: Path, text: str) -> None:
    *good, bad = rows(tmp_path, text)
    assert outline(good)[:2] == [(1, "1"), (1, "2")]
    assert isinstance(bad, BadRow)


def test_numbers_stay_as_they_are_written(tmp_path: Path) -> None:
    [row] = rows(tmp_path, '[{"a": 19.90, "b": 1e3, "c": 12345678901234567890, "d": NaN, "e": true, "f": null}]')
    assert isinstance(row, FeedRow)
    expected = {"a": "19.90", "b": "1e3", "c": "12345678901234567890", "d": "NaN", "e": True, "f": None}
    assert row.cells == expected


def test_text_that_is_no_json_is_a_bad_row(tmp_path: Path) -> None:
    assert outline(rows(tmp_path, f"callback([{A}]);")) == [1, (1, "1")]
    assert outline(rows(tmp_path, "no json\nat all\n")) == [1]


def test_a_large_file_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "feed.json"
    with path.open("w") as file:
        file.write('{"products":[')
        for number in range(60_000):
            file.write(("," if number else "") + json.dumps({"id": number, "title": "x" * 200, "tags": ["a"]}))
        file.write("]}")
    tracemalloc.start()
    assert sum(isinstance(row, FeedRow) for row in read_objects(path)) == 60_000
    assert tracemalloc.get_traced_memory()[1] < 6_000_000
    tracemalloc.stop()


def test_a_value_that_is_too_long_is_a_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("json_values", "json_text"):
        monkeypatch.setattr(f"producers.feeds.{module}.MAX_LINE", 2_000)
    monkeypatch.setattr("producers.feeds.json_values.PIECE", 500)
    monkeypatch.setattr(json_text.JsonText.fill, "__defaults__", (500,))
    monkeypatch.setattr("producers.feeds.json_text.PIECE", 500)
    long = json.dumps({"id": 2, "title": "x" * 9_000})
    for text in (f"{A}\n{long}\n{C}", f"[{A},\n{long},\n{C}]"):
        assert [row.cells["id"] for row in rows(tmp_path, text) if isinstance(row, FeedRow)] == ["1", "3"]
        assert any(isinstance(row, BadRow) for row in rows(tmp_path, text))


def test_broken_objects_of_an_attacker_take_linear_time(tmp_path: Path) -> None:
    started = time.process_time()
    for text in (
        "[" + "{," * 100_000,
        "[" + '{"a":"' * 10_000,
        "[" + '{"a":1 x},' * 10_000,
        '[{"a":}, {"' + '\\"' * 90_000,
        '{"items":' * 50_000,
    ):
        rows(tmp_path, text)
    assert time.process_time() - started < 10


values = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.text(max_size=5), values, max_size=4), max_size=6), st.sampled_from([None, 1]))
def test_what_json_writes_in_an_array_is_read(
    tmp_path: Path, objects: list[dict[str, object]], indent: int | None
) -> None:
    found = rows(tmp_path, json.dumps([{"id": n, "x": each} for n, each in enumerate(objects)], indent=indent))
    assert [row.cells["id"] for row in found if isinstance(row, FeedRow)] == [str(n) for n in range(len(objects))]
    assert len(found) == len(objects)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text('{}[]",:1 \n\\ae', max_size=60))
def test_no_text_breaks_the_reading(tmp_path: Path, text: str) -> None:
    for start in ("", "[", '[{"a":1},', '{"products":['):
        assert all(isinstance(row, FeedRow | BadRow) for row in rows(tmp_path, start + text))
