"""Facets: request and result of counting items by category, colour, brand and other fields."""

from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from schemas.failures import Code
from schemas.filters import Filters
from schemas.items import Tenant
from schemas.model import LenientModel, Model
from schemas.results import Status
from schemas.searches import RequestId

Facet = Literal["category", "colours", "brand", "creator", "source", "tags", "in_stock", "currency"]
FACETS: tuple[Facet, ...] = get_args(Facet)


class FacetsRequest(LenientModel):
    """Count the items that match the filters, grouped by the values of the given fields."""

    schema_: Literal["facets.request/1"] = Field(
        "facets.request/1", alias="schema", description="Name and version of this event"
    )
    request_id: RequestId
    tenant: Tenant = "default"
    facets: tuple[Facet, ...] = Field(
        ("category", "colours", "brand", "source"),
        min_length=1,
        max_length=len(FACETS),
        description="Fields to count by",
    )
    filters: Filters = Field(
        default_factory=Filters,
        description="Conditions for the items that are counted; the counts of a field ignore the filter on that "
        "field, so that they include its other values",
    )
    any_of: tuple[Filters, ...] = Field(
        (), max_length=10, description="Items are counted if they satisfy at least one of these"
    )
    none_of: tuple[Filters, ...] = Field(
        (), max_length=10, description="Items are counted if they satisfy none of these"
    )
    restricted: bool = Field(
        default=False, description="Whether items with restricted moderation labels are counted"
    )
    limit: int = Field(20, ge=1, le=200, description="Maximum number of values per field, the most frequent ones")
    deadline_ms: int = Field(
        5_000,
        ge=50,
        le=60_000,
        description="Time limit in milliseconds, from the record's time; after it the answer is `expired`",
    )

    @model_validator(mode="after")
    def _reject_empty_filters(self) -> Self:
        if any(filters == Filters() for filters in (*self.any_of, *self.none_of)):
            raise ValueError("a filter of `any_of` or `none_of` is empty, so everything satisfies it: remove it")
        return self


class FacetCount(Model):
    """Number of items that have a value; an item is counted by its main picture."""

    value: str = Field(description="A value of the field; for in_stock true or false")
    count: int = Field(ge=1, description="Number of items that have the value")


class FacetsResult(Model):
    """The result of a facets request; each request gets exactly one."""

    schema_: Literal["facets.result/1"] = Field(
        "facets.result/1", alias="schema", description="Name and version of this event"
    )
    request_id: RequestId
    status: Status = Field(description="ok, rejected, expired or unavailable")
    counts: dict[Facet, tuple[FacetCount, ...]] = Field(
        default_factory=dict, description="Values and their counts by field, the most frequent first"
    )
    code: Code | None = Field(None, description="Error code, if the request was rejected")
    message: str | None = Field(None, max_length=500, description="One sentence with the remedy, unless ok")
