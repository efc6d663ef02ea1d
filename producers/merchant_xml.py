"""Merchant XML: read Google Merchant feeds in RSS 2.0 and Atom 1.0, with elements of the namespace `g:`, as rows.

Sources: Google's product data specification (https://support.google.com/merchants/answer/7052112), the RSS 2.0
specification, RFC 4287 (Atom). The column is an element's name without its namespace; repeated elements become a
list; `g:title` takes precedence over the feed's own `title`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat

from infra.config.errors import BadInput
from producers.row_reader import BadRow, FeedRow

SUFFIXES = (".xml", ".rss", ".atom")
PRODUCTS = {"item", "{http://www.w3.org/2005/Atom}entry"}
"""Element names of a product in RSS and in Atom."""
GOOGLE_NAMESPACE = "{http://base.google.com/ns/1.0}"
CHUNK = 1 << 16
MAX_DEPTH, MAX_CHARACTERS = 16, 1_000_000
"""Maximum nesting of elements, and maximum characters per product."""


class _Refused(Exception):
    """The feed has content that no valid feed needs; the message completes `the file ...`."""


@dataclass
class _Product:
    """A product while it is parsed: its texts by column, with those of Google's namespace separate."""

    line: int
    texts: dict[str, list[str]] = field(default_factory=dict)
    google: dict[str, list[str]] = field(default_factory=dict)
    size: int = 0

    def add(self, name: str, text: str) -> None:
        """Add the text of an element."""
        if text.strip():
            texts = self.google if name.startswith(GOOGLE_NAMESPACE) else self.texts
            texts.setdefault(_local(name), []).append(text.strip())

    def count_text(self, text: str) -> None:
        """Add the characters of a text to the size."""
        self.size += len(text)

    def row(self) -> FeedRow:
        """The product as a row; Google's elements take precedence."""
        merged = self.texts | self.google
        return FeedRow(self.line, {name: texts[0] if len(texts) == 1 else texts for name, texts in merged.items()})


class _Reader:
    """Incremental parser of a feed; adds each complete product to `rows`."""

    def __init__(self) -> None:
        self.rows: list[FeedRow] = []
        self._parser = expat.ParserCreate(namespace_separator="}")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = _refuse_doctype
        self._depth = 0
        self._product_depth: int | None = None
        """Depth of the present product's element; None outside of products."""
        self._product = _Product(0)
        self._text: list[str] = []

    def feed(self, data: bytes, *, last: bool) -> None:
        """Parse more data; raises expat.ExpatError or _Refused."""
        self._parser.Parse(data, last)

    @property
    def line(self) -> int:
        """Line number of the parser's position."""
        return self._parser.CurrentLineNumber

    def _start(self, raw: str, attributes: dict[str, str]) -> None:
        name, self._depth = _qualified_name(raw), self._depth + 1
        if self._depth > MAX_DEPTH:
            raise _Refused(f"has more than {MAX_DEPTH} elements in each other")
        if self._product_depth is None and name in PRODUCTS:
            self._product_depth, self._product = self._depth, _Product(self.line)
        elif self._product_depth is not None and self._depth == self._product_depth + 1:
            self._text.clear()
            if _local(name) == "link" and attributes.get("rel", "alternate") == "alternate":
                self._product.add(name, attributes.get("href", ""))  # Atom has the URL in an attribute

    def _characters(self, text: str) -> None:
        if self._product_depth is None or self._depth != self._product_depth + 1:
            return  # deeper elements, such as the parts of g:shipping, are not used
        self._product.count_text(text)
        if self._product.size > MAX_CHARACTERS:
            raise _Refused(f"has a product of more than {MAX_CHARACTERS:,} characters")
        self._text.append(text)

    def _end(self, raw: str) -> None:
        if self._product_depth is not None and self._depth == self._product_depth + 1:
            self._product.add(_qualified_name(raw), "".join(self._text))
            self._text.clear()
        elif self._depth == self._product_depth:
            self.rows.append(self._product.row())
            self._product_depth = None
        self._depth -= 1


def read_products(path: Path) -> Iterator[FeedRow | BadRow]:
    """The products of a feed, in order. Where the feed stops being valid XML, it ends with a BadRow.

    Raises BadInput if the file cannot be read.
    """
    reader = _Reader()
    with _open(path) as file:
        data = b" "
        while data:
            data = file.read(CHUNK)
            try:
                reader.feed(data, last=not data)
            except expat.ExpatError as error:
                message = (
                    f"the file is no XML from here on ({expat.ErrorString(error.code)}): nothing after it is read"
                )
                yield from reader.rows
                yield BadRow(reader.line, message)
                return
            except _Refused as error:
                yield from reader.rows
                yield BadRow(reader.line, f"the file {error}: nothing after it is read")
                return
            yield from reader.rows
            reader.rows.clear()


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {(error.strerror or 'unknown reason').lower()}") from None


def _refuse_doctype(*_arguments: object) -> None:
    """Refuse a document type: it can define entities, which may expand without limit or read other files."""
    raise _Refused("declares a document type, which no feed needs")


def _qualified_name(raw: str) -> str:
    """expat's `namespace}local` as `{namespace}local`; names without a namespace are unchanged."""
    return f"{{{raw}" if "}" in raw else raw


def _local(name: str) -> str:
    return name.rpartition("}")[2]
