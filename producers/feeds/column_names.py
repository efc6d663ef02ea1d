"""Column names: Google's columns, and the key under which a column stands in rows, however its name is written."""

import re
import unicodedata
from functools import lru_cache

GOOGLE_COLUMNS = {
    "item_id": "id",
    "title": "title",
    "image": "image_link",
    "additional_images": "additional_image_link",
    "price": "price",
    "sale_price": "sale_price",
    "sale_price_effective_date": "sale_price_effective_date",
    "currency": "currency",
    "in_stock": "availability",
    "category": "product_type",
    "brand": "brand",
    "url": "link",
    "tags": "tags",
    "moderation": "moderation",
    "adult": "adult",
    "attributes.color": "color",
    "attributes.gender": "gender",
    "attributes.age_group": "age_group",
    "attributes.material": "material",
    "attributes.pattern": "pattern",
    "attributes.size": "size",
    "attributes.condition": "condition",
    "attributes.gtin": "gtin",
    "attributes.mpn": "mpn",
    "attributes.item_group_id": "item_group_id",
    "attributes.google_product_category": "google_product_category",
}
"""Our fields and their default columns (https://support.google.com/merchants/answer/7052112; `currency`, `tags` and
`moderation` are not Google's)."""
LIST_COLUMNS = frozenset({"image_link", "additional_image_link", "tags", "product_type"})
"""Columns that hold all values if they are repeated; others hold the first value."""
SPELLINGS = {
    **{column.replace("_", ""): column for column in GOOGLE_COLUMNS.values()},
    "additionalimagelinks": "additional_image_link",
    "imagelinks": "image_link",
    "producttypes": "product_type",
    "colour": "color",
    "producttags": "tags",
}
"""Other spellings of Google's columns without separators: plurals of its API, British spelling, Meta's tags."""
NUMBERED = (
    (re.compile(r"additional_?image_?links?_?\[?\d+\]?"), "additional_image_link"),
    (re.compile(r"image\[0\]\.url"), "image_link"),
    (re.compile(r"image\[\d+\]\.url"), "additional_image_link"),
    (re.compile(r"product_?tags\[\d+\]"), "tags"),
)  # fmt: skip
"""Columns that are numbered; the ones with [ ] are Meta's (https://developers.facebook.com/docs/commerce-platform)."""
SEPARATORS = re.compile(r"[\s_\-\u2010-\u2015]+")
MARGIN = " \t\r\n\ufeff\u200b\"'`\u00b4\u201c\u201d\u201e#*?:_"
GOOGLE_PREFIX = re.compile(r"[gc]:\s*")


@lru_cache(maxsize=4096)
def column_key(name: str) -> str:
    """The name of a column in rows: Google's if it is one of Google's, else the name in lower case with `_`."""
    text = unicodedata.normalize("NFKC", name[:200]).strip(MARGIN).casefold()
    text = SEPARATORS.sub("_", GOOGLE_PREFIX.sub("", text, count=1) if text[1:2] == ":" else text).strip(MARGIN)
    known = SPELLINGS.get(text.replace("_", ""))
    if known is not None:
        return known
    return next((column for pattern, column in NUMBERED if pattern.fullmatch(text)), text)
