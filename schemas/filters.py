"""Filters: conditions that hits must satisfy."""

import re
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from schemas.items import MAX_REVISION, ItemId, Name, Source
from schemas.model import LenientModel
from schemas.moments import Moment

ColourName = Literal[
    "black", "white", "grey", "red", "orange", "yellow", "green", "teal",
    "blue", "navy", "purple", "pink", "brown", "beige",
]  # fmt: skip
DEFAULT_DISTANCE = 10
"""Default maximum distance (CIE76) between a swatch and the hex colour of a filter."""
COLOUR_PATTERN = rf"^({'|'.join(get_args(ColourName))}|#[0-9a-fA-F]{{6}}(~([1-9]|[1-3][0-9]|40))?)$"


def _validate_colour(colour: str) -> str:
    if re.fullmatch(COLOUR_PATTERN, colour) is None:
        names = ", ".join(get_args(ColourName))
        raise ValueError(f"a colour is one of {names}, or #rrggbb, or #rrggbb~15 with a distance of 1 to 40")
    return colour


ColourFilter = Annotated[
    str,
    AfterValidator(_validate_colour),
    Field(
        json_schema_extra={"pattern": COLOUR_PATTERN},
        description="Name of a colour, or #rrggbb, or #rrggbb~15 with a maximum distance of 1 to 40 (CIE76, "
        f"default {DEFAULT_DISTANCE}) from a swatch that covers at least a tenth of the picture",
    ),
]


AttributeFilter = Annotated[
    str,
    Field(
        max_length=701,
        pattern=r"^[^=]+=.+$",
        description="Name and value of an attribute, for example material=leather; the name cannot contain =",
    ),
]


class Filters(LenientModel):
    """Conditions that a hit must satisfy: at least one of the values of a field, for every field that is given."""

    source: tuple[Source, ...] = Field((), max_length=2, description="Source is one of these")
    category: tuple[Name, ...] = Field((), max_length=50, description="Category is one of these")
    brand: tuple[Name, ...] = Field((), max_length=50, description="Brand is one of these")
    creator: tuple[Name, ...] = Field((), max_length=50, description="Creator is one of these")
    colours: tuple[ColourFilter, ...] = Field((), max_length=14, description="Has at least one of these colours")
    tags: tuple[Name, ...] = Field((), max_length=50, description="Has at least one of these tags")
    attributes: tuple[AttributeFilter, ...] = Field(
        (), max_length=50, description="Attributes as name=value; values of the same name are alternatives"
    )
    in_stock: bool | None = Field(
        None, description="true: only items in stock; false: only items that are not in stock"
    )
    price_min: float | None = Field(None, ge=0, description="Lowest price, inclusive, in `currency`")
    price_max: float | None = Field(None, ge=0, description="Highest price, inclusive, in `currency`")
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", description="ISO 4217 code of the prices")
    created_after: Moment | None = Field(None, description="Created at or after this time, RFC 3339")
    created_before: Moment | None = Field(None, description="Created before this time, RFC 3339")
    revision_min: int | None = Field(None, ge=1, le=MAX_REVISION, description="Lowest revision, inclusive")
    revision_max: int | None = Field(None, ge=1, le=MAX_REVISION, description="Highest revision, inclusive")
    exclude_items: tuple[ItemId, ...] = Field((), max_length=200, description="Ids of items to exclude")

    @model_validator(mode="after")
    def _reject_empty_ranges(self) -> Self:
        for name in ("price", "revision"):
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            if low is not None and high is not None and low > high:
                raise ValueError(f"{name}_min is above {name}_max, so nothing can match: swap them")
        after, before = self.created_after, self.created_before
        if after is not None and before is not None and after >= before:
            raise ValueError("created_after is not before created_before, so nothing can match: swap them")
        return self
