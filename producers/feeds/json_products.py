"""JSON products: distinguish a product from the objects and arrays around it, and make a row of it."""

from producers.row_reader import BadRow, FeedRow, Json, JsonObject

ARRAYS = {
    "products", "items", "data", "results", "entries", "entry", "item", "offers", "rows", "records", "ordereditems",
    "value", "hits", "edges", "nodes", "articles", "goods", "feed", "catalog", "product", "docs", "objects", "list",
    "content", "response", "result", "payload", "rss", "channel", "shop", "export", "inventory", "elements",
    "productvariants", "collection",
}  # fmt: skip
"""Names, in lower case, of arrays of products, and of the objects around them."""
PARTS = {"sku", "image_link", "image", "images", "image_url", "imagelink", "price", "handle"}
"""Names, in lower case, that only a product has, so that the arrays in it are parts of it."""
FACTS = {*PARTS, "id", "@id", "title", "name", "type", "@type", "@context"}
"""Names, in lower case, of which a product has one; the object around a list of products may have some of them."""
PART_ARRAYS = {
    "@context", "attachment", "tag", "images", "pictures", "media", "variants", "options", "attributes", "tags",
    "categories", "reviews", "errors", "links", "url",
}  # fmt: skip
"""Names, in lower case, of arrays of objects that are parts of a product or post, wherever they stand in it."""
INNER = ("node", "_source")
"""Names under which GraphQL and Elasticsearch put a product in the elements of their arrays."""
PICTURES = {"image_link", "image", "images", "image_url", "imagelink", "picture", "pictures"}
"""Names, in lower case, of which a product has one."""


def is_array_name(name: str) -> bool:
    """Whether an array of this name holds products."""
    return name.lower() in ARRAYS


def may_hold_products(name: str, before: JsonObject, start: str) -> bool:
    """Whether the value of a name, which starts with `[{` or `{`, holds products.

    `before` are the other values of its object up to here.
    """
    names = {key.lower() for key in before}
    if names & PARTS:
        return False
    if is_array_name(name):
        return True
    return start == "[" and not names & FACTS and name.lower() not in PART_ARRAYS


def holds_products(value: JsonObject) -> bool:
    """Whether an object is one around an array of products, or around products by their ids."""
    first = next(iter(value.items()), None)
    if (
        first is not None
        and product_of(*first) is not None
        and all(isinstance(part, dict) for part in value.values())
    ):
        return True
    for name, part in value.items():
        others = {key: other for key, other in value.items() if key != name}
        if isinstance(part, list):
            is_array = isinstance(part[0], dict) if part else is_array_name(name)
            if is_array and may_hold_products(name, others, "["):
                return True
        elif isinstance(part, dict) and may_hold_products(name, others, "{") and holds_products(part):
            return True
    return False


def product_of(key: str, value: Json) -> JsonObject | None:
    """The product under a key of an object that holds products by their ids; None if the value is no product."""
    if not isinstance(value, dict):
        return None
    names = {name.lower() for name in value}
    if not names & PICTURES or not names & {"id", "sku", "title", "name"}:
        return None
    return value if "id" in names else {"id": key, **value}


def row_of(line: int, value: Json) -> FeedRow | BadRow:
    """A value as a row."""
    if not isinstance(value, dict):
        return BadRow(line, "the value is not a JSON object")
    if _is_by_columns(value):
        return BadRow(line, "the object is a table by its columns: write an array with an object for each product")
    for name in INNER:
        inner = value.get(name)
        if isinstance(inner, dict) and (len(value) <= 2 or name == "_source"):
            return FeedRow(line, inner)
    return FeedRow(line, value)


def _is_by_columns(value: JsonObject) -> bool:
    """Whether an object holds a list of ids, or an object with them, as data frames are written."""
    ids = value.get("id")
    return isinstance(ids, list | dict) and len(ids) > 1 and isinstance(value.get("image_link"), type(ids))
