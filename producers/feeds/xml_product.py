"""XML product: collect the elements of one product of a feed, and make a row of them.

The column is an element's name without its namespace; parts of an element are `element.part`; repeated elements
become a list. Where names meet, Google's elements come before the feed's own (RSS, Atom), and these before others.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from producers.row_reader import BadRow, FeedRow, Json

GOOGLE = re.compile(
    r"(?:base\.google\.com|www\.google\.com|google\.com)/(?:ns|cns|schemas)/1\.0/?\s*$", re.IGNORECASE
)
"""Ends of the addresses of Google's namespaces (https://support.google.com/merchants/answer/160589)."""
GOOGLE_PREFIXES = {"g", "c"}
"""Prefixes of Google's elements; many feeds use them without a declaration."""
FEED_NAMESPACES = (
    "http://www.w3.org/2005/Atom", "http://purl.org/rss/1.0/", "http://purl.org/atom/ns#", "http://backend.userland.com",
)  # fmt: skip
GOOGLE_RANK, OWN_RANK, OTHER_RANK, ATTRIBUTE_RANK = range(4)
PARAMETERS = {"param", "attribute", "property", "parameter", "spec"}
"""Elements, in lower case, whose attribute `name` names the column."""
ADDRESS_ATTRIBUTES = ("url", "href", "src")
PICTURE_ELEMENTS = {"enclosure", "content", "thumbnail"}
"""Elements of RSS and Media RSS that may hold a picture (https://www.rssboard.org/media-rss)."""
PRODUCTS = {"item", "entry", "product", "offer", "shopitem", "article", "good", "ad", "listing", "record", "row"}
"""Names, in lower case, of the element of a product."""
MAX_DEPTH, MAX_CHARACTERS, MAX_CATEGORIES = 16, 1_000_000, 100_000
"""Maximum nesting of elements, maximum characters of a product, and maximum number of a feed's categories."""
HARMLESS_DOCTYPE = ("yml_catalog", "shops.dtd")
"""All YML feeds name this document type; it is not read."""
NOT_READABLE = "\uf8f0"
"""Stands for a byte that the encoding does not have."""


class FeedRefused(Exception):
    """The feed has content that no valid feed needs; the message completes `the file ...`."""


class ProductRefused(Exception):
    """A product has content that no valid one needs; the message completes `the product ...`."""


@dataclass
class _Element:
    """An element within a product that is open."""

    name: str
    rank: int
    texts: list[str] = field(default_factory=list)
    parts: list[tuple[str, str]] = field(default_factory=list)
    """Names and texts of the elements in it."""


class XmlProduct:
    """A product while it is read."""

    def __init__(self, line: int, attributes: Mapping[str, str]) -> None:
        self.line, self.size = line, 0
        self._cells: tuple[dict[str, list[str]], ...] = ({}, {}, {}, {})
        self._open: list[_Element] = []
        for name, value in attributes.items():
            if not name.startswith("xmlns"):
                self._add(ATTRIBUTE_RANK, name.rpartition(":")[2], value)

    def start(self, name: str, rank: int, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        self.size += sum(map(len, attributes.values()))
        address = next((attributes[each] for each in ADDRESS_ATTRIBUTES if each in attributes), "")
        if not self._open and name.lower() in PARAMETERS and attributes.get("name"):
            name, rank = attributes["name"][:100], OTHER_RANK
        elif name == "link" and address:
            name = _name_link(attributes)
        elif name in PICTURE_ELEMENTS and address:
            name, rank = ("enclosure", OWN_RANK) if _is_picture(attributes) else (name, OTHER_RANK)
        self._open.append(_Element(name, rank, [address] if address else []))

    def add_text(self, text: str) -> None:
        """Text of the innermost element."""
        self.size += len(text)
        if self._open:
            self._open[-1].texts.append(text)

    def end(self) -> None:
        """The innermost element ends."""
        element = self._open.pop()
        text = "".join(element.texts).strip()
        if self._open:
            outer = self._open[-1]
            outer.parts.extend([(element.name, text)] if text else [])
            outer.parts.extend((f"{element.name}.{name}", part) for name, part in element.parts)
            return
        if text:
            self._add(element.rank, element.name, text)
        elif element.parts and len({name for name, _ in element.parts}) == 1:
            for _, part in element.parts:  # a list, as <images><image>
                self._add(element.rank, element.name, part)
        for name, part in element.parts:
            self._add(element.rank, f"{element.name}.{name}", part)

    def _add(self, rank: int, name: str, text: str) -> None:
        if text.strip():
            self._cells[rank].setdefault(name, []).append(text.strip())

    def row(self, categories: Mapping[str, str], lines_above: int) -> FeedRow | BadRow:
        """The product as a row; `categories` are the names of a feed's categories by their ids."""
        line = self.line + lines_above
        cells: dict[str, Json] = {}
        for texts in reversed(self._cells):
            cells.update({name: each[0] if len(each) == 1 else each for name, each in texts.items()})
        if any(NOT_READABLE in text for texts in self._cells for each in texts.values() for text in each):
            return BadRow(
                self.line, "the product has bytes that the file's encoding does not have: save it as UTF-8"
            )
        category = cells.get("categoryId")
        if isinstance(category, str) and category in categories:
            cells.setdefault("category", categories[category])
        return FeedRow(line, cells)


def _name_link(attributes: Mapping[str, str]) -> str:
    """Atom has the address of a link in an attribute, and says by `rel` what it leads to."""
    relation = attributes.get("rel", "alternate")
    if relation == "enclosure" and _is_picture(attributes):
        return "enclosure"
    return "link" if relation == "alternate" else f"link.{relation}"


def _is_picture(attributes: Mapping[str, str]) -> bool:
    is_image = attributes.get("type", "image/").lower().startswith("image/")
    return is_image and attributes.get("medium", "image") == "image"


def rank_of(prefix: str, namespaces: Mapping[str, str]) -> int:
    """Whose element one with this prefix is."""
    address = namespaces.get(prefix)
    if prefix in GOOGLE_PREFIXES or (address is not None and GOOGLE.search(address)):
        return GOOGLE_RANK
    return OWN_RANK if not prefix or (address or "").startswith(FEED_NAMESPACES) else OTHER_RANK


@dataclass
class FeedContext:
    """What the elements around the products of a feed say."""

    namespaces: dict[str, str] = field(default_factory=dict)
    """Addresses by prefixes."""
    categories: dict[str, str] = field(default_factory=dict)
    """Names by ids."""
    ancestors: set[str] = field(default_factory=set)
    """Names of the elements around products."""


class ProductParser:
    """Parses a text with expat, and collects its products."""

    def __init__(self, context: FeedContext) -> None:
        self.products: list[XmlProduct] = []
        self.root = ""
        self.start_index = -1
        """Where the present product begins, in the bytes of this parser; -1 outside of products."""
        self._context = context
        self._depth = 0
        self.path: list[str] = []
        """Names of the open elements outside of products."""
        self._product: XmlProduct | None = None
        self._product_depth = 0
        self._category: list[str] | None = None
        """Id, id of the parent, and texts of a category that is open."""
        self.expat = expat.ParserCreate("utf-8")
        self.expat.buffer_text = True
        self.expat.StartElementHandler = self._start
        self.expat.EndElementHandler = self._end
        self.expat.CharacterDataHandler = self._add_text
        self.expat.StartDoctypeDeclHandler = _check_doctype

    def parse(self, data: bytes, *, last: bool = False) -> None:
        """Parse more bytes. Raises ExpatError, ProductRefused, or FeedRefused."""
        self.expat.Parse(data, last)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self.root = self.root or name
        if self._depth > MAX_DEPTH:
            refused = FeedRefused if self._product is None else ProductRefused
            raise refused(f"has more than {MAX_DEPTH} elements in each other")
        for key, value in attributes.items():
            if key.startswith("xmlns") and len(self._context.namespaces) < 100:
                self._context.namespaces[key[6:]] = value
        prefix, _, local = name.rpartition(":")
        if self._product is not None:
            self._product.start(local, rank_of(prefix, self._context.namespaces), attributes)
        elif local.lower() in PRODUCTS:
            self._context.ancestors.update(self.path)
            self.start_index, self._product_depth = self.expat.CurrentByteIndex, self._depth
            self._product = XmlProduct(self.expat.CurrentLineNumber, attributes)
        else:
            self.path.append(name)
            if local == "category" and "id" in attributes and len(self._context.categories) < MAX_CATEGORIES:
                self._category = [attributes["id"], attributes.get("parentId", "")]

    def _add_text(self, text: str) -> None:
        if self._product is not None:
            self._product.add_text(text)
            if self._product.size > MAX_CHARACTERS:
                raise ProductRefused(f"has more than {MAX_CHARACTERS:,} characters")
        elif self._category is not None:
            self._category.append(text[:200])

    def _end(self, _name: str) -> None:
        if self._product is None:
            self.path.pop()
            self._end_category()
        elif self._depth > self._product_depth:
            self._product.end()
        else:
            self.products.append(self._product)
            self._product, self.start_index = None, -1
        self._depth -= 1

    def _end_category(self) -> None:
        if self._category is not None:
            own, parent, *texts = self._category
            path = [self._context.categories.get(parent, ""), "".join(texts).strip()]
            self._context.categories[own] = " > ".join(part for part in path if part)[:500]
            self._category = None


def _check_doctype(name: str, system: str | None, _public: str | None, has_subset: int) -> None:
    """Refuse a document type: it can define entities, which may expand without limit or read other files."""
    if has_subset or (name, system) != HARMLESS_DOCTYPE:
        raise FeedRefused("declares a document type, which no feed needs")
