"""Encoding: a few words are enough to recognise each encoding in which shops save texts."""

import io
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.config.errors import BadInput
from producers.feeds.encoding import Utf8Bytes, declared_encoding, find_encoding, find_mark, guess_encoding
from producers.feeds.feed_file import ReadOptions
from producers.feeds.formats import read_feed
from producers.row_reader import BadRow, FeedRow, RowResult

WORDS: dict[str, list[str]] = tomllib.loads(
    Path(__file__).parents[1].joinpath("samples/encodings.toml").read_text(encoding="utf-8")
)["words"]
SAMPLES = [(encoding, text) for encoding, texts in WORDS.items() for text in texts]


def rows(folder: Path, data: bytes, name: str = "feed.csv", options: ReadOptions | None = None) -> list[RowResult]:
    (folder / name).write_bytes(data)
    return list(read_feed(folder / name, options))


def titles(found: list[RowResult]) -> list[object]:
    return [row.cells.get("title") for row in found if isinstance(row, FeedRow)]


@pytest.mark.parametrize(("encoding", "text"), SAMPLES)
def test_a_text_is_read_in_the_encoding_that_it_was_saved_in(tmp_path: Path, encoding: str, text: str) -> None:
    data = f'id,title,image_link\n1,"{text}",https://shop.example/1.jpg\n'.encode(encoding)
    assert titles(rows(tmp_path, data)) == [text]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-8-sig"])
@pytest.mark.parametrize("name", ["feed.csv", "feed.jsonl", "feed.xml"])
def test_unicode_is_detected_with_and_without_a_mark(tmp_path: Path, encoding: str, name: str) -> None:
    text = {
        "feed.csv": "id,title,image_link\r\n1,Größe 赤,u\r\n" + "2,,赤い靴革のブーツ\r\n" * 40,
        "feed.jsonl": '{"id": 1, "title": "Größe 赤", "image_link": "u"}\n',
        "feed.xml": '<?xml version="1.0" encoding="UTF-16"?><rss><item><title>Größe 赤</title></item></rss>',
    }[name]
    assert titles(rows(tmp_path, text.encode(encoding), name))[0] == "Größe 赤"


@pytest.mark.parametrize(("encoding", "text"), [
    ("iso2022_jp", "赤い革の靴, ブーツ"), ("iso2022_jp_ext", "白いｼｬﾂ"), ("iso2022_kr", "빨간 가죽 구두"),
])  # fmt: skip
@pytest.mark.parametrize("name", ["feed.csv", "feed.xml"])
def test_escape_sequences_tell_the_encodings_whose_bytes_are_all_ascii(
    tmp_path: Path, encoding: str, text: str, name: str
) -> None:
    data = {
        "feed.csv": f'id,title,image_link\n1,"{text}",u\n',
        "feed.xml": f'<?xml version="1.0"?><rss><item><id>1</id><title>{text}</title></item></rss>',
    }[name]
    assert titles(rows(tmp_path, data.encode(encoding), name)) == [text]


@pytest.mark.parametrize(("encoding", "label", "text"), [
    ("gb2312", "GB2312", "红色皮鞋"), ("gbk", "GB2312", "紅色"), ("cp1251", "windows-1251", "Ботинки"),
    ("cp1252", "ISO-8859-1", "12 €"), ("shift_jis", "Shift_JIS", "赤い靴"), ("utf-8", "utf8", "Größe"),
    ("cp1252", "UTF-8", "Größe, Café"), ("koi8_r", "KOI8-R", "Ботинки"), ("euc_kr", "ks_c_5601-1987", "빨간"),
])  # fmt: skip
def test_an_xml_declaration_names_the_encoding_unless_it_is_untrue(
    tmp_path: Path, encoding: str, label: str, text: str
) -> None:
    xml = f'<?xml version="1.0" encoding="{label}"?>\n<rss><item><id>1</id><title>{text}</title></item></rss>'
    assert titles(rows(tmp_path, xml.encode(encoding), "feed.xml")) == [text]


def test_an_unknown_encoding_is_refused_with_the_remedy(tmp_path: Path) -> None:
    xml = b'<?xml version="1.0" encoding="x-klingon"?><rss><item><id>\xf8\xe1</id></item></rss>'
    with pytest.raises(BadInput, match=r"x-klingon.*save it as UTF-8"):
        rows(tmp_path, xml, "feed.xml")


@pytest.mark.parametrize("name", ["feed.csv", "feed.jsonl", "feed.xml"])
def test_a_bad_byte_in_a_file_of_utf8_is_a_bad_row_at_its_line(tmp_path: Path, name: str) -> None:
    text = {
        "feed.csv": "id,title,image_link\n1,Größe,u\n2,b@d,u\n3,Café,u\n",
        "feed.jsonl": '\n{"id": 1, "title": "Größe"}\n{"id": 2, "title": "b@d"}\n{"id": 3, "title": "Café"}\n',
        "feed.xml": "<rss>\n<item><id>1</id><title>Größe</title></item>\n<item><id>b@d</id></item>\n"
        "<item><id>3</id><title>Café</title></item></rss>",
    }[name]
    found = rows(tmp_path, text.encode().replace(b"@", b"\xe9"), name)
    assert [row.line for row in found if isinstance(row, BadRow)] == [3]
    assert titles(found) == ["Größe", "Café"]


def test_letters_that_first_come_late_decide(tmp_path: Path) -> None:
    plain = "".join(f"{n},plain,https://shop.example/{n}.jpg\n" for n in range(20_000))
    data = f"id,title,image_link\n{plain}x,Größe für Mädchen,u\n".encode("cp1252")
    assert titles(rows(tmp_path, data))[-1] == "Größe für Mädchen"


def test_an_option_overrides_what_is_found(tmp_path: Path) -> None:
    data = "id,title,image_link\n1,Größe,u\n".encode("cp1252")
    assert titles(rows(tmp_path, data, options=ReadOptions(encoding="windows-1251"))) == ["GrцЯe"]
    with pytest.raises(BadInput, match="no known encoding"):
        rows(tmp_path, data, options=ReadOptions(encoding="klingon"))


def test_names_of_encodings_are_those_of_browsers_and_of_python() -> None:
    assert find_encoding("Latin1") == find_encoding("ISO-8859-1") == find_encoding("windows-1252") == "cp1252"
    assert (find_encoding("GB2312"), find_encoding("x-sjis"), find_encoding("UTF8")) == (
        "gb18030",
        "cp932",
        "utf-8",
    )
    assert [find_encoding(name) for name in ("rot13", "base64", "zlib", "klingon", "", "a\0b")] == [None] * 6
    assert declared_encoding(b"<?xml version='1.0' encoding='koi8-r'?>") == "koi8-r"
    assert declared_encoding(b"<rss/>") is None
    assert find_mark(b"\xef\xbb\xbfid") == ("utf-8", 3)
    assert find_mark(b"id,title") is None
    assert guess_encoding(b"plain") == "utf-8"


def test_a_sample_of_an_attacker_takes_linear_time() -> None:
    started = time.process_time()
    for sample in (b"x" * 65_000 + b"\xe9", b"\xe9x" * 32_000, b"\xe9 " * 32_000, bytes(range(128, 256)) * 500):
        guess_encoding(sample)
    assert time.process_time() - started < 5


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.integers(1, 50))
def test_utf8_passes_unchanged_however_it_is_read(text: str, size: int) -> None:
    data = ("id " + text).encode()
    reader, found = Utf8Bytes(io.BytesIO(data)), b""
    while piece := reader.read(size):
        found += piece
    assert found == data


@given(st.binary(max_size=300))
def test_no_bytes_break_the_conversion(data: bytes) -> None:
    io.BufferedReader(Utf8Bytes(io.BytesIO(data))).read().decode("utf-8", "surrogateescape")
