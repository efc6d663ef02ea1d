"""Table mapping: read the TOML file that maps the columns of a table to the fields of an item."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from infra.config.errors import BadInput
from producers.column_mapping import ALL_FIELDS, REQUIRED_FIELDS, is_field
from producers.debezium.values import UNAVAILABLE_VALUE, is_placeholder
from schemas.envelope import describe
from schemas.items import Tenant
from schemas.model import Model


class TableMapping(Model):
    """Contents of a mapping file (TOML)."""

    tenant: Tenant = "default"
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", description="ISO 4217 code of prices that name none")
    columns: Mapping[str, str] = Field(description="Our field = the table's column")
    unavailable: str = Field(
        UNAVAILABLE_VALUE,
        min_length=1,
        description="The connector's unavailable.value.placeholder, which stands for values that it does not have",
    )
    only: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Column = values: rows that have none of them are no items, and those that were are taken out",
    )


def read_mapping(path: Path) -> TableMapping:
    """Read a mapping file; raises BadInput if it is invalid or names unknown fields."""
    try:
        with path.open("rb") as file:
            mapping = TableMapping.model_validate(tomllib.load(file), strict=False)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {(error.strerror or 'unknown reason').lower()}") from None
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        raise BadInput(f"{path} is no mapping: {describe(error)}") from None
    for name in mapping.columns:
        if not is_field(name):
            raise BadInput(f"{path}: columns.{name} is no field; fields are {ALL_FIELDS}")
    if not is_placeholder(mapping.unavailable):
        raise BadInput(
            f"{path}: unavailable = {mapping.unavailable!r} is no text, nor hex: and pairs of hex digits"
        )
    if missing := [name for name in REQUIRED_FIELDS if name not in mapping.columns]:
        raise BadInput(f"{path}: name the column of {' and '.join(missing)} under [columns]")
    return mapping
