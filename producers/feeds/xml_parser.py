"""XML parser: parse the text of a feed with expat, and collect its products.

Prefixes are resolved here, not by expat, so that one without a declaration is no error.
"""

from xml.parsers import expat

from producers.feeds.xml_context import FeedContext
from producers.feeds.xml_product import MAX_DEPTH, ProductRefused, XmlProduct

PRODUCTS = {
    "item", "entry", "product", "offer", "shopitem", "article", "good", "ad", "listing", "record", "row", "artikel",
    "produkt", "produit", "producto", "prodotto", "deal", "o",
}  # fmt: skip
"""Names, in lower case, of the element of a product."""
MAX_CATEGORIES = 100_000
"""Of a feed."""
HARMLESS_DOCTYPE = ("yml_catalog", "shops.dtd")
"""All YML feeds name this document type; it is not read."""


class FeedRefused(Exception):
    """The feed has content that no valid feed needs; the message completes `the file ...`."""


class ProductParser:
    """Parses a text with expat, and collects its products."""

    def __init__(self, context: FeedContext) -> None:
        self.products: list[XmlProduct] = []
        self.root = ""
        self.start_index = -1
        """Where the present product begins, in the bytes of this parser; -1 outside of products."""
        self.path: list[str] = []
        """Names of the open elements outside of products."""
        self._context = context
        self._product: XmlProduct | None = None
        self._category: list[str] | None = None
        """Id, id of the parent, and texts of a category that is open."""
        self.expat = expat.ParserCreate("utf-8")
        self.expat.buffer_text = True
        self.expat.StartDoctypeDeclHandler = _check_doctype
        self._handle_outside()

    def parse(self, data: bytes, *, last: bool = False) -> None:
        """Parse more bytes. Raises ExpatError, ProductRefused, or FeedRefused."""
        self.expat.Parse(data, last)

    def _handle_outside(self) -> None:
        """Have expat call the handlers of this class, which are those outside of products."""
        self.expat.StartElementHandler = self._start
        self.expat.EndElementHandler = self._end
        self.expat.CharacterDataHandler = self._add_text

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.root = self.root or name
        if len(self.path) >= MAX_DEPTH:
            raise ProductRefused(f"has more than {MAX_DEPTH} nested elements")
        self._context.declare(attributes)
        local = self._context.resolve(name)[0]
        if local.lower() in PRODUCTS:
            self._start_product(attributes)
            return
        self.path.append(name)
        if local == "category" and "id" in attributes and len(self._context.categories) < MAX_CATEGORIES:
            self._category = [attributes["id"], attributes.get("parentId", "")]

    def _start_product(self, attributes: dict[str, str]) -> None:
        """A product begins, which handles what is in it by itself."""
        self._context.ancestors.update(self.path)
        self.start_index, depth = self.expat.CurrentByteIndex, len(self.path) + 1
        product = XmlProduct(self.expat.CurrentLineNumber, depth, attributes, self._context, self._end_product)
        self._product = product
        self.expat.StartElementHandler = product.start
        self.expat.EndElementHandler = product.end
        self.expat.CharacterDataHandler = product.add_text

    def _end_product(self) -> None:
        if self._product is not None:
            self.products.append(self._product)
        self._product, self.start_index = None, -1
        self._handle_outside()

    def _add_text(self, text: str) -> None:
        if self._category is not None:
            self._category.append(text[:200])

    def _end(self, _name: str) -> None:
        self.path.pop()
        if self._category is not None:
            self._end_category(self._category)

    def _end_category(self, category: list[str]) -> None:
        own, parent, *texts = category
        path = [self._context.categories.get(parent, ""), "".join(texts).strip()]
        self._context.categories[own] = " > ".join(part for part in path if part)[:500]
        self._category = None


def _check_doctype(name: str, system: str | None, _public: str | None, has_subset: int) -> None:
    """Refuse a document type: it can define entities, which may expand without limit or read other files."""
    if has_subset or (name, system) != HARMLESS_DOCTYPE:
        raise FeedRefused("declares a document type, which no feed needs")
