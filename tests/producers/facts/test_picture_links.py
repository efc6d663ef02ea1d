"""Picture links: what the picture cells of feeds contain."""

import base64
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.facts.picture_links import clean_link, links_in, path_candidates, read_link
from schemas.failures import Code, Rejected
from schemas.items import MAX_INLINE_BYTES, InlineImage, S3Image, UrlImage

A, B, COMMA = "https://h.test/a.jpg", "https://h.test/b.jpg", "https://h.test/c_fill,w_300/b.jpg"


@pytest.mark.parametrize(
    ("cell", "links"),
    [
        (A, [A]),
        (COMMA, [COMMA]),
        (f"{COMMA},{A}", [COMMA, A]),
        (f"{A}, {COMMA} , {B}", [A, COMMA, B]),
        (f"{A}|{B}", [A, B]),
        (f"{A}\n{B}\r\n", [A, B]),
        (f"{A} {B}", [A, B]),
        (f"{A}; {B}", [A, B]),
        (f"{A};v=1,2", [f"{A};v=1,2"]),
        (f"{A},", [A]),
        ("//h.test/a.jpg,//h.test/b.jpg", ["//h.test/a.jpg", "//h.test/b.jpg"]),
        ("s3://b/a,1.jpg,s3://b/b.jpg", ["s3://b/a,1.jpg", "s3://b/b.jpg"]),
        ("a.jpg,b.jpg", ["a.jpg", "b.jpg"]),
        ("/a/b/x.jpg,/a/b/y.jpg", ["/a/b/x.jpg", "/a/b/y.jpg"]),
        ("red, large.jpg", ["red, large.jpg"]),
        ("red, large.jpg, blue.PNG", ["red, large.jpg", "blue.PNG"]),
        ("a.jpg,https://h.test/b.jpg", ["a.jpg", B]),
        ("one,two", ["one", "two"]),
        (f'["{A}", "{B}"]', [A, B]),
        (f"['{A}', '{B}']", [f"'{A}'", f"'{B}'"]),
        (f"{{{A},{B}}}", [A, B]),
        ([A, COMMA], [A, COMMA]),
        ([{"url": A}, {"src": B}], [A, B]),
        ({"link": A}, [A]),
        (f'[{{"href": "{A}"}}]', [A]),
        (f'<p><img class="x" src="{A}"><img src={B}></p>', [A, B]),
        ("data:image/png;base64,AAAA, data:image/png;base64,BBBB",
         ["data:image/png;base64,AAAA", "data:image/png;base64,BBBB"]),
        (f"front.jpg ({A}), back.jpg ({B})", [A, B]),
        (f"![front]({A})", [A]),
        (f"{A} ! alt : front, red ! title : a.jpg ! desc :  ! caption : | {B} ! alt :", [A, B]),
        (None, []),
        ("", []),
        ("[]", []),
    ],
)  # fmt: skip
def test_a_cell_is_cut_only_where_another_link_begins(cell: object, links: list[str]) -> None:
    assert links_in(cell) == links


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://h.test/a b.jpg", "https://h.test/a%20b.jpg"),
        ("HTTPS://h.test/A.jpg", "https://h.test/A.jpg"),
        ("//h.test/a.jpg", "https://h.test/a.jpg"),
        ("www.h.test/a.jpg", "https://www.h.test/a.jpg"),
        ("https://h.test/a.jpg?x=1&amp;y=2", "https://h.test/a.jpg?x=1&y=2"),
        ("https://h.test/a.jpg?x=1&#38;y=2", "https://h.test/a.jpg?x=1&y=2"),
        ('"https://h.test/a.jpg"', "https://h.test/a.jpg"),
        ("<https://h.test/a.jpg>", "https://h.test/a.jpg"),
        (" 'https://h.test/a.jpg' ", "https://h.test/a.jpg"),
        ("\ufeffhttps://h.test\u200b/a.jpg", "https://h.test/a.jpg"),
        ("https:\\/\\/h.test\\/a.jpg", "https://h.test/a.jpg"),
        ("http:\\\\h.test\\a.jpg", "http://h.test/a.jpg"),
        ("https:/h.test/a.jpg", "https://h.test/a.jpg"),
        ("https://h.test/100%.jpg", "https://h.test/100%25.jpg"),
        ("https://h.test/a%20b.jpg", "https://h.test/a%20b.jpg"),
        ("https://h.test/a|b.jpg", "https://h.test/a%7Cb.jpg"),
        ("https://m\xfcnchen.test/\xe4.jpg?q=\xfc", "https://xn--mnchen-3ya.test/%C3%A4.jpg?q=%C3%BC"),
        ("https://\u65e5\u672c.test/\u5199.jpg", "https://xn--wgv71a.test/%E5%86%99.jpg"),
        ("https://user:word@h.test:8080/a.jpg", "https://user:word@h.test:8080/a.jpg"),
        ("https://[::1]:8080/a.jpg", "https://[::1]:8080/a.jpg"),
    ],
)
def test_a_url_is_read_as_a_browser_reads_it(text: str, url: str) -> None:
    assert read_link(text) == UrlImage(url=url)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ftp://h.test/a.jpg", "is of the kind ftp:"),
        ("file:///data/a.jpg", "is of the kind file:"),
        ("gs://bucket/a.jpg", "is of the kind gs:"),
        ("blob:https://h.test/1", "is of the kind blob:"),
        ("C:\\pictures\\a.jpg", "names a drive or computer of Windows"),
        ("C:/pictures/a.jpg", "names a drive or computer of Windows"),
        ("\\\\server\\share\\a.jpg", "names a drive or computer of Windows"),
        ("https://", "is no URL"),
        ("https:///", "is no URL"),
        ("https://a b/c.jpg", "is no URL"),
        ("https://h.test/\ud800.jpg", "is no URL"),
        ("https://" + "\xfc" * 300 + ".test/", "is no URL"),
        ("https://h.test/" + "x" * 3_000, "a URL may have 2048"),
        ("s3://B/k", "is no s3://BUCKET/KEY"),
        ("s3://bucket", "is no s3://BUCKET/KEY"),
        ("data:text/html,hello", "holds no picture"),
        ("data:image/svg+xml,<svg/>", "holds no picture"),
        ("data:image/png", "holds no picture"),
        ("data:image/png;base64,", "is empty"),
        ("data:image/png;base64,!!!!", "base64 is broken"),
    ],
)
def test_other_links_are_refused_by_name(text: str, reason: str) -> None:
    with pytest.raises(Rejected, match=reason) as caught:
        read_link(text)
    assert caught.value.code is Code.SOURCE_REFUSED
    assert len(caught.value.message) < 500


def test_buckets_are_read_in_their_spellings() -> None:
    assert read_link("s3://bucket/a/b.jpg") == S3Image(bucket="bucket", key="a/b.jpg")
    assert read_link("S3://bucket/a b.jpg") == S3Image(bucket="bucket", key="a b.jpg")
    assert read_link("s3a://bucket/k") == S3Image(bucket="bucket", key="k")


def test_a_data_url_is_an_inline_picture(picture: bytes) -> None:
    encoded = base64.b64encode(picture).decode()
    for text in (
        f"data:image/png;base64,{encoded}",
        f"DATA:image/png;charset=utf-8;BASE64,{encoded.rstrip('=')}",
        f"data:image/png;base64,{base64.urlsafe_b64encode(picture).decode()}",
        f"data:;base64,{quote(encoded)}",
        f"data:image/png,{quote(picture)}",
    ):
        assert read_link(text) == InlineImage(data=picture)


@pytest.mark.parametrize("size", [MAX_INLINE_BYTES + 1, 5 * MAX_INLINE_BYTES])
def test_a_large_data_url_is_refused(size: int) -> None:
    with pytest.raises(Rejected, match="more than 700,000 bytes") as caught:
        read_link("data:image/png;base64," + base64.b64encode(bytes(size)).decode())
    assert caught.value.code is Code.IMAGE_TOO_LARGE


def test_a_path_is_looked_for_in_the_ways_that_exports_write_it() -> None:
    assert read_link("img/a.jpg") == "img/a.jpg"
    assert list(path_candidates("a.jpg")) == ["a.jpg"]
    assert list(path_candidates("/m/a.jpg")) == ["/m/a.jpg", "m/a.jpg"]
    assert list(path_candidates("m\\a.jpg")) == ["m/a.jpg", "m\\a.jpg"]
    assert list(path_candidates("my%20a.jpg")) == ["my%20a.jpg", "my a.jpg"]
    assert list(path_candidates("a.jpg?v=1")) == ["a.jpg?v=1", "a.jpg"]
    assert list(path_candidates("%ff.jpg")) == ["%ff.jpg"]


@given(st.text(max_size=200) | st.from_regex(r"(https?:)?[/\\]{0,3}[a-z.:@%#?,;| \[\]-]{0,30}", fullmatch=True))
def test_no_text_breaks_the_reading(text: str) -> None:
    with suppress(ValueError):
        for link in links_in(text):
            assert link == link.strip()
            with suppress(Rejected):
                found = read_link(link)
                if isinstance(found, UrlImage):
                    assert found.url.isascii()
                    assert read_link(found.url) == found
    clean_link(text)
    list(path_candidates(text))
