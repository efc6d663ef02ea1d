"""Merchant XML: every spelling of namespaces, lists of every kind, and errors that affect one product only."""

import tempfile
import time
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.column_mapping import choose_columns
from producers.feeds.formats import read_feed
from producers.feeds.merchant_xml import CHUNK, read_products
from producers.row_reader import BadRow, FeedRow

HEAD = '<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel>'
ITEM = "<item><g:id>{id}</g:id><g:image_link>https://shop.example/{id}.jpg</g:image_link></item>"
TAIL = "</channel></rss>"


def rows(folder: Path, text: str | bytes) -> list[FeedRow | BadRow]:
    path = folder / "feed.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_products(path))


def one(folder: Path, text: str) -> FeedRow:
    [row] = rows(folder, text)
    assert isinstance(row, FeedRow), row
    return row


def outline(found: list[FeedRow | BadRow]) -> list[object]:
    """The ids of products, the lines of bad rows."""
    return [row.cells.get("id") if isinstance(row, FeedRow) else row.line for row in found]


@pytest.mark.parametrize("namespace", [
    "http://base.google.com/ns/1.0", "https://base.google.com/ns/1.0", "http://base.google.com/ns/1.0/",
    "http://base.google.com/cns/1.0", "HTTP://BASE.GOOGLE.COM/NS/1.0", " http://base.google.com/ns/1.0 ", None,
    "http://www.google.com/ns/1.0", "urn:whatever",
])  # fmt: skip
@pytest.mark.parametrize("prefix", ["g", "c"])
def test_googles_namespace_is_known_in_every_spelling_and_without_a_declaration(
    tmp_path: Path, namespace: str | None, prefix: str
) -> None:
    declaration = "" if namespace is None else f' xmlns:{prefix}="{namespace}"'
    text = f"<rss{declaration}><item><title>own</title><{prefix}:title>Google's</{prefix}:title></item></rss>"
    assert one(tmp_path, text).cells == {"title": "Google's"}


def test_another_prefix_and_the_default_namespace_may_be_googles(tmp_path: Path) -> None:
    address = 'xmlns:x="http://base.google.com/ns/1.0"'
    assert (
        one(tmp_path, f"<rss {address}><item><title>o</title><x:title>g</x:title></item></rss>").cells["title"]
        == "g"
    )
    assert one(tmp_path, '<rss xmlns="http://base.google.com/ns/1.0"><item><id>7</id></item></rss>').cells == {
        "id": "7"
    }


def test_of_an_element_in_two_namespaces_the_first_counts(tmp_path: Path) -> None:
    text = (
        '<rss xmlns:m="http://search.yahoo.com/mrss/"><item><m:title>media</m:title><title>own</title>'
        "<link>https://a.example</link><m:link>https://b.example</m:link></item></rss>"
    )
    assert one(tmp_path, text).cells == {"title": "own", "link": "https://a.example"}


@pytest.mark.parametrize(("text", "cells"), [
    ("<products><product><id>1</id><name>n</name></product></products>", {"id": "1", "name": "n"}),
    ("<items><item id='1'><title>t</title></item></items>", {"id": "1", "title": "t"}),
    ("<SHOP><SHOPITEM><ITEM_ID>1</ITEM_ID></SHOPITEM></SHOP>", {"ITEM_ID": "1"}),
    ("<a><offers><offer id='1' available='true'><id>2</id></offer></offers></a>", {"id": "2", "available": "true"}),
    ("<rdf:RDF xmlns:rdf='r' xmlns='http://purl.org/rss/1.0/'><channel><items/></channel><item rdf:about='u'>"
     "<g:id>1</g:id></item></rdf:RDF>", {"id": "1", "about": "u"}),
    ("<r><item><images><image>a</image><image>b</image></images></item></r>",
     {"images": ["a", "b"], "images.image": ["a", "b"]}),
    ("<r><item><price><amount>1</amount><currency>EUR</currency></price></item></r>",
     {"price.amount": "1", "price.currency": "EUR"}),
    ("<r><item><param name='Color'>red</param><attribute name='Size' value='x'>M</attribute></item></r>",
     {"Color": "red", "Size": "M"}),
    ("<r><item><t><![CDATA[<b>A & B</b>]]> and <![CDATA[C]]></t></item></r>", {"t": "<b>A & B</b> and C"}),
    ("<r><item><enclosure url='u' type='image/jpeg'/><enclosure url='v' type='audio/mpeg'/></item></r>",
     {"enclosure": "u"}),
    ("<r><item><media:content url='u' medium='image'/><media:thumbnail url='t'/></item></r>",
     {"enclosure": ["u", "t"]}),
    ("<r><entry><link rel='self' href='s'/><link href='u'/><link rel='enclosure' type='image/png' href='p'/>"
     "</entry></r>", {"link.self": "s", "link": "u", "enclosure": "p"}),
    ("<r><item><g:image_link>a</g:image_link><g:image_link>b</g:image_link></item></r>",
     {"image_link": ["a", "b"]}),
    ("<r><item><id> 1 </id><empty/><blank>  </blank></item></r>", {"id": "1"}),
])  # fmt: skip
def test_products_are_read_from_lists_of_every_kind(tmp_path: Path, text: str, cells: dict[str, object]) -> None:
    assert one(tmp_path, text).cells == cells


def test_categories_of_a_yml_feed_have_their_names(tmp_path: Path) -> None:
    path = Path(__file__).parents[1] / "samples/yml.xml"
    first, second = read_feed(path)
    assert isinstance(first, FeedRow)
    assert isinstance(second, FeedRow)
    assert (first.cells["product_type"], second.cells["title"]) == ("Toys > Discs", "Blue & round disc")


@pytest.mark.parametrize(("title", "read"), [
    ("A & B", "A & B"), ("A &nbsp;B", "A \xa0B"), ("caf&eacute;", "café"), ("x &unknown; y", "x &unknown; y"),
    ("5 < 6", "5 < 6"), ("a&#0;b&#11;c", "abc"), ("a\x0bb\x00c", "a b c"), ("&amp;amp;", "&amp;"),
    ("<![CDATA[A &nbsp; B]]> & C", "A &nbsp; B & C"), ("u?a=1&b=2&copy=3", "u?a=1&b=2&copy=3"),
])  # fmt: skip
def test_text_that_is_not_quite_xml_is_repaired(tmp_path: Path, title: str, read: str) -> None:
    item = f"<item><g:id>b</g:id><title>{title}</title></item>"
    first, second, third = rows(tmp_path, f"{HEAD}\n{ITEM.format(id='a')}\n{item}\n{ITEM.format(id='c')}{TAIL}")
    assert isinstance(second, FeedRow), second
    assert (second.line, second.cells["title"]) == (3, read)
    assert outline([first, third]) == ["a", "c"]


@pytest.mark.parametrize("broken", [
    "<item><g:id>b</g:i></item>", "<item><g:id>b</item>", "<item><g:id>b</g:id></title></item>",
    "<item><g:id a=b>b</g:id></item>", "<item><g:id>b</g:id><x y='1' y='2'/></item>", "<item><a><b></a></b></item>",
    "<item><g:id>b</g:id>", "<item x><g:id>b</g:id></item>", "<:item><g:id>b</g:id></item>",
    "<é:item><g:id>b</g:id></item>", "<a:b:item><g:id>b</g:id></item>", "<ITEM><g:id>b</g:id></item>",
    "<o><g:id>b</g:id></item>",
])  # fmt: skip
@pytest.mark.parametrize("filler", ["", "x" * CHUNK])
def test_a_broken_product_is_a_bad_row_and_what_follows_is_read(tmp_path: Path, broken: str, filler: str) -> None:
    before = f"<item><g:id>a</g:id><t>{filler}</t></item>"
    text = f"{HEAD}\n{before}\n{broken}\n{ITEM.format(id='c')}\n{ITEM.format(id='d')}\n{TAIL}"
    assert outline(rows(tmp_path, text)) == ["a", 3, "c", "d"]


def test_several_broken_products_cost_themselves_alone(tmp_path: Path) -> None:
    items = [ITEM.format(id=n) if n % 3 else f"<item><g:id>{n}</g:i></item>" for n in range(300)]
    found = rows(tmp_path, HEAD + "\n" + "\n".join(items) + TAIL)
    assert outline(found) == [n + 2 if n % 3 == 0 else str(n) for n in range(300)]


def test_a_feed_that_breaks_off_gives_what_came_before_and_says_where(tmp_path: Path) -> None:
    good, bad = rows(tmp_path, f"{HEAD}\n{ITEM.format(id='a')}\n<item><g:id>b")
    assert isinstance(good, FeedRow)
    assert isinstance(bad, BadRow)
    assert (bad.line, "nothing after it is read" in bad.message) == (3, True)
    good, bad = rows(tmp_path, f"{HEAD}\n{ITEM.format(id='a')}\n")
    assert isinstance(bad, BadRow)
    assert "cut off" in bad.message


def test_errors_outside_of_products_are_reported_and_affect_no_product(tmp_path: Path) -> None:
    text = f"{HEAD}<title>Tom & Jerry</title>\n{ITEM.format(id='a')}\n<x></y>\n{ITEM.format(id='b')}{TAIL}"
    found = rows(tmp_path, text)
    assert [row for row in outline(found) if isinstance(row, str)] == ["a", "b"]
    assert isinstance(found[0], BadRow)
    assert found[0].line == 1


def test_feeds_after_each_other_are_read(tmp_path: Path) -> None:
    text = f"{HEAD}{ITEM.format(id='a')}{TAIL}\n{HEAD}{ITEM.format(id='b')}{TAIL}"
    assert [row for row in outline(rows(tmp_path, text)) if isinstance(row, str)] == ["a", "b"]


def test_blank_lines_above_the_declaration_are_passed_over(tmp_path: Path) -> None:
    text = f'\n\n<?xml version="1.0"?>\n{HEAD}\n<item><id>a</id></item>\n<item><id>b</i></item>{TAIL}'
    good, bad = rows(tmp_path, text)
    assert (good.line, bad.line) == (5, 6)


@pytest.mark.parametrize(("text", "why"), [
    ('<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><rss>&b;</rss>', "document type"),
    ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><rss/>', "document type"),
    ('<!DOCTYPE yml_catalog SYSTEM "shops.dtd" [<!ENTITY a "b">]><yml_catalog/>', "document type"),
    (HEAD + "<a>" * 20, "nested elements"),
    (f"{HEAD}<item><g:id>{'x' * 1_100_000}</g:id></item>{TAIL}", "characters"),
    ("id,title", "no XML"),
    ("<Error><Code>AccessDenied</Code></Error>", "no product (<item>, <entry>, <product> or <offer>)"),
])  # fmt: skip
def test_what_no_feed_needs_is_refused(tmp_path: Path, text: str, why: str) -> None:
    [bad] = rows(tmp_path, text)
    assert isinstance(bad, BadRow)
    assert why in bad.message


def test_a_product_that_is_too_large_costs_no_other(tmp_path: Path) -> None:
    text = f"{HEAD}\n<item><g:id>{'x' * 12_000_000}</g:id></item>\n{ITEM.format(id='b')}{TAIL}"
    assert outline(rows(tmp_path, text)) == [2, "b"]


def test_elements_that_are_nested_too_deeply_between_products_cost_none(tmp_path: Path) -> None:
    a, b, c = (ITEM.format(id=name) for name in "abc")
    text = f"{HEAD}\n{a}{'<a>' * 40}\n{b}{'<a>' * 40}{'</a>' * 40}\n{c}{TAIL}"
    found = outline(rows(tmp_path, text))
    assert [each for each in found if isinstance(each, str)] == ["a", "b", "c"]
    assert {each for each in found if isinstance(each, int)} == {2, 3}


@pytest.mark.parametrize("text", ["<rss/>", f"{HEAD}{TAIL}", "<feed xmlns='http://www.w3.org/2005/Atom'></feed>"])
def test_an_empty_feed_is_reported_and_no_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "feed.xml").write_text(text)
    assert list(read_feed(tmp_path / "feed.xml")) == []
    assert "the feed has no products" in choose_columns(tmp_path / "feed.xml", ()).summary


def test_errors_of_an_attacker_take_linear_time(tmp_path: Path) -> None:
    started = time.process_time()
    for text in (
        "<item>" * 20_000,
        "<item></x>" * 10_000,
        "<item><a>" + "&" * 300_000,
        "<item " * 20_000,
        "</item>" * 20_000,
        "<item>&" + "<![CDATA[" * 60_000 + "</item>",
    ):
        rows(tmp_path, HEAD + text)
    assert time.process_time() - started < 10


@given(st.lists(st.text("abc&<é", min_size=1, max_size=9), min_size=1, max_size=5), st.integers(0, 3))
def test_what_is_written_is_read_wherever_the_chunks_end(titles: list[str], pad: int) -> None:
    items = [f"<item><g:id>{n}</g:id><g:title>|{escape(title)}|</g:title></item>" for n, title in enumerate(titles)]
    with tempfile.TemporaryDirectory() as folder:
        filler = "<item>" + "x" * (CHUNK - len(HEAD) - 20 - pad) + "</item>"
        found = rows(Path(folder), HEAD + filler + "".join(items) + TAIL)
    assert [row.cells.get("title") for row in found[1:] if isinstance(row, FeedRow)] == [f"|{t}|" for t in titles]


@given(st.text('<>/&;"=! item:g-[]CDATA', max_size=60))
def test_no_text_breaks_the_reading(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = rows(Path(folder), f"{HEAD}{text}<item><id>last</id></item>{TAIL}")
    assert all(isinstance(row, FeedRow | BadRow) for row in found)
