"""Column mapping: assign the columns of a feed to item fields, by Google's names or by `--map` options."""

from collections.abc import Sequence
from pathlib import Path

from infra.config.errors import BadInput
from producers.feed_formats import read_columns

GOOGLE_COLUMNS = {
    "item_id": "id",
    "title": "title",
    "image": "image_link",
    "additional_images": "additional_image_link",
    "price": "price",
    "sale_price": "sale_price",
    "sale_price_effective_date": "sale_price_effective_date",
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
"""Our fields and their default columns, if the file has them
(https://support.google.com/merchants/answer/7052112; `tags` and `moderation` are not Google's)."""

FIELDS = (
    "item_id", "title", "image", "additional_images", "price", "currency", "in_stock", "category", "brand",
    "tags", "moderation", "adult", "created_at", "url", "revision", "sale_price", "sale_price_effective_date",
)  # fmt: skip
REQUIRED_FIELDS = ("item_id", "image")
ATTRIBUTE = "attributes."
ALL_FIELDS = ", ".join([*FIELDS, f"{ATTRIBUTE}NAME"])


def choose_columns(path: Path, mappings: Sequence[str]) -> dict[str, str]:
    """Our fields and their columns in this file: Google's names, overridden by mappings `field=column`.

    Raises BadInput, with the known names, if a field is unknown, a column is missing, or no column has the item's
    id or picture. The columns of a JSONL file are the keys of its first 1,000 lines.
    """
    available = read_columns(path)
    columns = {name: column for name, column in GOOGLE_COLUMNS.items() if column in available}
    for mapping in mappings:
        name, column = _parse_mapping(mapping)
        if column not in available:
            raise BadInput(f"--map {mapping}: {path} has no column `{column}`, it has {_list_names(available)}")
        columns[name] = column
    for name in REQUIRED_FIELDS:
        if name not in columns:
            raise BadInput(
                f"{path} has no column `{GOOGLE_COLUMNS[name]}`: name the one that it is with --map {name}=COLUMN; "
                f"it has {_list_names(available)}"
            )
    return columns


def _parse_mapping(mapping: str) -> tuple[str, str]:
    name, equals, column = mapping.partition("=")
    if not equals or not is_field(name):
        raise BadInput(f"--map {mapping}: write FIELD=COLUMN, where FIELD is {ALL_FIELDS}")
    return name, column


def is_field(name: str) -> bool:
    """Whether a column can be mapped to a field of this name."""
    return name in FIELDS or (name.startswith(ATTRIBUTE) and name != ATTRIBUTE)


def _list_names(names: Sequence[str]) -> str:
    return ", ".join(names[:60]) or "nothing"
