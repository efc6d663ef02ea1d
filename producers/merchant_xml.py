"""Google Merchant feeds in XML, row by row: RSS 2.0 and Atom 1.0 with elements of the namespace `g:`.

Sources: Google's product data specification (https://support.google.com/merchants/answer/7052112), the RSS 2.0
specification, RFC 4287 (Atom). An element's name without its namespace is its column; what is given more than once
is a list; `g:title` goes before the feed's own `title`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat

from infra.console import BadInput
from producers.row_reader import BadRow, FeedRow

SUFFIXES = (".xml", ".rss", ".atom")
PRODUCTS = {"item", "{http://www.w3.org/2005/Atom}entry"}
"""What one product is called in RSS, and in Atom."""
GOOGLE = "{http://base.google.com/ns/1.0}"
CHUNK = 1 << 16
DEEPEST, LONGEST = 16, 1_000_000
"""Elements in each other, and characters of a product, at most: a feed that has more is no feed."""


class _Refused(Exception):
    """The feed holds what no feed needs; the message says what."""


@dataclass
class _Product:
    """A product while it is read: its texts by column, those of Google's namespace apart."""

    line: int
    texts: dict[str, list[str]] = field(default_factory=dict)
    google: dict[str, list[str]] = field(default_factory=dict)
    size: int = 0

    def add(self, name: str, text: str) -> None:
        """Note one element's text."""
        if text.strip():
            home = self.google if name.startswith(GOOGLE) else self.texts
            home.setdefault(_local(name), []).append(text.strip())

    def row(self) -> FeedRow:
        """All of it as a row."""
        together = self.texts | self.google
        return FeedRow(
            self.line, {name: texts[0] if len(texts) == 1 else texts for name, texts in together.items()}
        )


class _Reader:
    """Follows the elements of a feed, and hands out products as they end."""

    def __init__(self) -> None:
        self.rows: list[FeedRow] = []
        self._parser = expat.ParserCreate(namespace_separator="}")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = _refuse_doctype
        self._depth = 0
        self._inside: int | None = None
        """How deep the product lies that is being read."""
        self._product = _Product(0)
        self._text: list[str] = []

    def feed(self, data: bytes, *, last: bool) -> None:
        """Read on; raises expat.ExpatError or _Refused."""
        self._parser.Parse(data, last)

    @property
    def line(self) -> int:
        """Where it is."""
        return self._parser.CurrentLineNumber

    def _start(self, raw: str, attributes: dict[str, str]) -> None:
        name, self._depth = _named(raw), self._depth + 1
        if self._depth > DEEPEST:
            raise _Refused(f"has more than {DEEPEST} elements in each other")
        if self._inside is None and name in PRODUCTS:
            self._inside, self._product = self._depth, _Product(self.line)
        elif self._inside is not None and self._depth == self._inside + 1:
            self._text.clear()
            if _local(name) == "link" and attributes.get("rel", "alternate") == "alternate":
                self._product.add(name, attributes.get("href", ""))  # as Atom has it

    def _characters(self, text: str) -> None:
        if self._inside is None or self._depth != self._inside + 1:
            return  # what lies deeper, as the parts of g:shipping do, is of no use here
        self._product.size += len(text)
        if self._product.size > LONGEST:
            raise _Refused(f"has a product of more than {LONGEST:,} characters")
        self._text.append(text)

    def _end(self, raw: str) -> None:
        if self._inside is not None and self._depth == self._inside + 1:
            self._product.add(_named(raw), "".join(self._text))
            self._text.clear()
        elif self._depth == self._inside:
            self.rows.append(self._product.row())
            self._inside = None
        self._depth -= 1


def read_products(path: Path) -> Iterator[FeedRow | BadRow]:
    """The products of a feed, in order; one that is no XML from some line on ends with a BadRow there.

    Raises BadInput when the file cannot be read.
    """
    reader = _Reader()
    with _open(path) as file:
        data = b" "
        while data:
            data = file.read(CHUNK)
            try:
                reader.feed(data, last=not data)
            except expat.ExpatError as error:
                broken = (
                    f"the file is no XML from here on ({expat.ErrorString(error.code)}): nothing after it is read"
                )
                yield from reader.rows
                yield BadRow(reader.line, broken)
                return
            except _Refused as refused:
                yield from reader.rows
                yield BadRow(reader.line, f"the file {refused}: nothing after it is read")
                return
            yield from reader.rows
            reader.rows.clear()


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {(error.strerror or 'unknown reason').lower()}") from None


def _refuse_doctype(*_what: object) -> None:
    """A document type can define entities, which expand without bounds and read other files."""
    raise _Refused("declares a document type, which no feed needs")


def _named(raw: str) -> str:
    """A name as {namespace}local, where there is a namespace."""
    return f"{{{raw}" if "}" in raw else raw


def _local(name: str) -> str:
    return name.rpartition("}")[2]
