"""Feed file: open a feed of any compression and encoding as text, and detect its format."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from infra.config.errors import BadInput
from producers.feeds.compression import FeedBytes, open_bytes
from producers.feeds.dialects import is_known_column
from producers.feeds.encoding import Utf8Bytes, find_encoding
from producers.feeds.parquet import count_rows

BUFFER = 1 << 16
MAX_LINE = 1 << 24
"""Characters of a line, or of one value of JSON; longer ones are bad rows. A picture may be in a line."""
XML_SUFFIXES, JSON_SUFFIXES = (".xml", ".rss", ".atom", ".yml"), (".json", ".jsonl", ".ndjson")
FOREIGN_FILES = (
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook: save its table as CSV"),
    (b"%PDF", "a PDF document"), (b"\x89PNG", "a picture"), (b"\xff\xd8\xff", "a picture"), (b"GIF8", "a picture"),
    (b"RIFF", "a picture or sound"), (b"SQLite format 3", "a SQLite database: export its table as CSV"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it"), (b"Rar!", "a RAR archive: unpack it"), (b"Obj\x01", "an Avro file"),
    (b"ORC", "an ORC file"), (b"ARROW1", "an Arrow file: save it as Parquet"), (b"FEA1", "a Feather file"),
    (b"\x04\x22\x4d\x18", "an LZ4 archive: unpack it"), (b"\x1f\x9d", "an archive of compress: unpack it"),
    (b"\xff\x06\x00\x00sNaPpY", "a Snappy archive: unpack it"), (b"{\\rtf", "a document in RTF"),
)  # fmt: skip
"""First bytes of files that are not feeds, with the names of their formats."""
NAMES_OF_DELIMITERS = {
    "tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " ", "colon": ":", "caret": "^",
    "tilde": "~",
}  # fmt: skip
"""Names of characters that are hard to write on a command line."""
BAD = re.compile(r"[\ud800-\udfff]")
HTML = re.compile(r"<(?:!doctype\s+html|html|head|body|title|div|table|script)\b", re.IGNORECASE)
TITLE = re.compile(r"<title[^>]{0,200}>\s{0,20}([^<]{1,80})", re.IGNORECASE)
JSON = re.compile(r"\[\s*(?:[{\[\"\]\d]|$)|\{\s*(?:[\"}]|$)")
CONTROL = re.compile(r"[\x00\x02-\x08\x0e-\x19]")
NAMES_OF_ENCODINGS = {
    "utf-8": "UTF-8", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "utf-32-le": "UTF-32", "utf-32-be": "UTF-32",
    "cp932": "Shift_JIS", "euc_jp": "EUC-JP", "gb18030": "GB18030", "cp950": "Big5", "cp949": "EUC-KR",
    "mac_roman": "MacRoman", "koi8_u": "KOI8", "utf-7": "UTF-7",
}  # fmt: skip
"""Names for users; other code pages of Windows and DOS are named by their number, `iso8859_2` is ISO-8859-2."""
FeedFormat = Literal["table", "json", "xml", "parquet"]


@dataclass(frozen=True)
class ReadOptions:
    """The user's options for a file, in place of detection."""

    encoding: str | None = None
    """Name of an encoding, as `windows-1252`."""
    delimiter: str | None = None
    """The character between the cells of a table."""
    mapped: frozenset[str] = frozenset()
    """Keys of the columns that are mapped to fields, which the header of a table has."""

    def codec(self) -> str | None:
        """Python's name of the encoding; raises BadInput if there is no such encoding."""
        if self.encoding is None:
            return None
        found = find_encoding(self.encoding)
        if found is None:
            raise BadInput(f"--encoding {self.encoding} is no known encoding: write it as utf-8 or windows-1252")
        return found

    def separator(self) -> str | None:
        """The delimiter; raises BadInput if it cannot be one."""
        found = NAMES_OF_DELIMITERS.get((self.delimiter or "").lower(), self.delimiter)
        if found is not None and (not 1 <= len(found) <= 3 or set(found) & set("\"'\r\n\0")):
            raise BadInput(f"--delimiter {found!r} cannot separate cells: write a character, as `;`, or `tab`")
        return found


class FeedFile:
    """A feed that is open for reading."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        codec = options.codec()
        self.path, self.options = path, options
        self._content: FeedBytes = open_bytes(path)
        self._utf8 = Utf8Bytes(io.BufferedReader(self._content, BUFFER), codec)
        if self._utf8.unknown is not None:
            self._content.close()
            raise BadInput(_describe_unknown(path, self._utf8.unknown))
        self.binary = io.BufferedReader(self._utf8, BUFFER)
        """The content in UTF-8; bytes that the encoding does not have are bytes that UTF-8 does not have."""
        self.text = io.TextIOWrapper(self.binary, "utf-8", errors="surrogateescape", newline="")
        """The content as text; bytes that are not valid are lone surrogates."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.text.close()
        self._content.close()

    def __iter__(self) -> Iterator[str]:
        return iter(lambda: self.text.readline(MAX_LINE), "")

    @property
    def damage(self) -> str | None:
        """Why the content ended too early, known at its end; completes `the file ...`."""
        return self._content.damage

    @property
    def encoding_name(self) -> str:
        """The encoding of the part read so far, for users."""
        name = self._utf8.encoding
        return NAMES_OF_ENCODINGS.get(name) or name.replace("iso8859_", "ISO-8859-").replace("cp12", "Windows-12")

    def describe(self) -> str:
        """Encoding and compression of the part read so far, for users."""
        guess = " (by its letters; if they are wrong, give --encoding)" if self._utf8.is_guess else ""
        return ", ".join([self.encoding_name + guess, *self._content.layers])


def _describe_unknown(path: Path, name: str) -> str:
    if name == "UTF-7":
        return f"{path} seems to be in UTF-7: save it as UTF-8, or give --encoding utf-7 (utf-8 if it is none)"
    return f"{path} is in {name}, which is not known: save it as UTF-8, or give --encoding"


def open_feed(path: Path, options: ReadOptions | None = None) -> FeedFile:
    """Open a feed. Raises BadInput if it cannot be read."""
    return FeedFile(path, options or ReadOptions())


def find_format(path: Path, options: ReadOptions | None = None) -> FeedFormat:
    """The format of a feed, by its content. Raises BadInput if the file cannot be read, or is no feed."""
    with open_bytes(path) as content:
        start = io.BufferedReader(content, BUFFER).peek(BUFFER)
        if content.damage is not None and not start:
            raise BadInput(f"{path} {content.damage}: make it again")
    if start.startswith(b"PAR1"):
        if content.layers:
            raise BadInput(f"{path} is a Parquet file in an archive, which is not read as a stream: unpack it")
        return "parquet"
    for mark, what in FOREIGN_FILES:
        if start.startswith(mark):
            raise BadInput(f"{path} is {what}: feeds are CSV, TSV, JSON, XML or Parquet")
    if start[257:262] == b"ustar":
        raise BadInput(f"{path} is a tar archive: unpack it, and send one file at a time")
    with open_feed(path, options) as file:
        return _format_of_text(path, file.text.read(BUFFER))


def _format_of_text(path: Path, start: str) -> FeedFormat:
    text = start.lstrip("\ufeff \t\r\n\x00\x1e")
    if not text:
        raise BadInput(f"{path} is empty: no feed is without a line")
    if text.startswith("<"):
        if HTML.match(text) or ("<rss" not in text and re.search(r"<html\b", text[:2_000], re.IGNORECASE)):
            title = TITLE.search(text)
            named = f" (`{title[1].strip()}`)" if title else ""
            raise BadInput(f"{path} is an HTML page{named}, not a feed: download the feed again")
        return "xml"
    if 10 * len(CONTROL.findall(text)) > len(text) or 3 * len(BAD.findall(text)) > len(text):
        raise BadInput(
            f"{path} is no text in an encoding that can be told: is it a feed? If it is, give --encoding"
        )
    suffixes = {suffix.lower() for suffix in path.suffixes}
    if JSON.match(text):
        return "json"
    if sum(map(is_known_column, re.split(r"[,;\t|]", text[:2_000].splitlines()[0]))) >= 2:
        return "table"
    return "json" if suffixes & set(JSON_SUFFIXES) else "xml" if suffixes & set(XML_SUFFIXES) else "table"


def count_lines(path: Path) -> int:
    """Number of lines of a file, about that of its rows; of a compressed file an estimate from its beginning.

    Of Parquet that of its rows. Raises BadInput if it cannot be read.
    """
    with open_bytes(path) as content:
        file = io.BufferedReader(content, 1 << 20)
        if file.peek(4).startswith(b"PAR1") and not content.layers:
            return count_rows(path)
        if not content.layers:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
        return content.estimate(file.read(1 << 20).count(b"\n"))


def is_utf8(text: str) -> bool:
    """Whether a text from `open_feed` holds no byte that its encoding does not have."""
    return text.isascii() or BAD.search(text) is None
