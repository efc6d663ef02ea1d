"""Columns of a feed: which of them is which field of an item, by Google's names or as the user says."""

from collections.abc import Sequence
from pathlib import Path

from infra.console import BadInput
from producers.feed_formats import read_columns

GOOGLE = {
    "item_id": "id",
    "title": "title",
    "image": "image_link",
    "additional_images": "additional_image_link",
    "price": "price",
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
"""Our fields and the columns they come from, where the file has them
(https://support.google.com/merchants/answer/7052112; `tags` and `moderation` are not of them)."""

FIELDS = (
    "item_id", "title", "image", "additional_images", "price", "currency", "in_stock", "category", "brand",
    "tags", "moderation", "adult", "created_at", "url", "revision",
)  # fmt: skip
NEEDED = ("item_id", "image")
ATTRIBUTE = "attributes."
ALL_FIELDS = ", ".join([*FIELDS, f"{ATTRIBUTE}NAME"])


def choose_columns(path: Path, mappings: Sequence[str]) -> dict[str, str]:
    """Our fields and their columns in this file: Google's names, then `field=column` for others.

    Raises BadInput with what there is when a field is unknown, a column is missing, or no column is an item's
    id or picture. A JSONL file has the columns of its first 1,000 lines.
    """
    exist = read_columns(path)
    chosen = {name: column for name, column in GOOGLE.items() if column in exist}
    for mapping in mappings:
        name, column = _parse_mapping(mapping)
        if column not in exist:
            raise BadInput(f"--map {mapping}: {path} has no column `{column}`, it has {_listed(exist)}")
        chosen[name] = column
    for name in NEEDED:
        if name not in chosen:
            raise BadInput(
                f"{path} has no column `{GOOGLE[name]}`: name the one that it is with --map {name}=COLUMN; "
                f"it has {_listed(exist)}"
            )
    return chosen


def _parse_mapping(mapping: str) -> tuple[str, str]:
    name, equals, column = mapping.partition("=")
    if not equals or not is_field(name):
        raise BadInput(f"--map {mapping}: write FIELD=COLUMN, where FIELD is {ALL_FIELDS}")
    return name, column


def is_field(name: str) -> bool:
    """Whether a column can be mapped to a field of this name."""
    return name in FIELDS or (name.startswith(ATTRIBUTE) and name != ATTRIBUTE)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:60]) or "nothing"
