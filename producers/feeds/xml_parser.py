"""XML parser: parse the text of a feed with expat, and collect its products.

Prefixes are resolved here, not by expat, so that one without a declaration is no error.
"""

from dataclasses import dataclass, field
from xml.parsers import expat

from producers.feeds.xml_product import ProductRefused, XmlProduct, rank_of

PRODUCTS = {
    "item", "entry", "product", "offer", "shopitem", "article", "good", "ad", "listing", "record", "row", "artikel",
    "produkt", "produit", "producto", "prodotto", "deal", "o",
}  # fmt: skip
"""Names, in lower case, of the element of a product."""
MAX_DEPTH, MAX_CATEGORIES = 16, 100_000
"""Maximum nesting of elements, and maximum number of a feed's categories."""
MAX_NAMESPACES, MAX_NAMES = 100, 1_000
"""Namespaces of a feed, and names of elements that are remembered."""
HARMLESS_DOCTYPE = ("yml_catalog", "shops.dtd")
"""All YML feeds name this document type; it is not read."""


class FeedRefused(Exception):
    """The feed has content that no valid feed needs; the message completes `the file ...`."""


@dataclass
class FeedContext:
    """The contents of the elements around the products of a feed."""

    namespaces: dict[str, str] = field(default_factory=dict)
    """Addresses by prefixes."""
    categories: dict[str, str] = field(default_factory=dict)
    """Names by ids."""
    ancestors: set[str] = field(default_factory=set)
    """Names of the elements around products."""
    names: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Names without their prefixes, and ranks, of elements as they are written."""

    def declare(self, prefix: str, address: str) -> None:
        """Add a namespace."""
        if self.namespaces.get(prefix) != address and len(self.namespaces) < MAX_NAMESPACES:
            self.namespaces[prefix] = address
            self.names.clear()

    def resolve(self, name: str) -> tuple[str, int]:
        """The name of an element without its prefix, and its rank."""
        prefix, _, local = name.rpartition(":")
        if len(self.names) > MAX_NAMES:
            self.names.clear()
        found = self.names[name] = local, rank_of(prefix, self.namespaces)
        return found


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
            raise refused(f"has more than {MAX_DEPTH} nested elements")
        for key, value in attributes.items():
            if key.startswith("xmlns"):
                self._context.declare(key[6:], value)
        local, rank = self._context.names.get(name) or self._context.resolve(name)
        if self._product is not None:
            self._product.start(local, rank, attributes)
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
