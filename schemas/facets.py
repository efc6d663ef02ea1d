"""Facets: request and result of counting items by category, colour, brand and other fields."""

from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from schemas.failures import Code
from schemas.filters import Filters
from schemas.items import Tenant
from schemas.model import Model
from schemas.results import Status
from schemas.searches import RequestId

Facet = Literal["category", "colours", "brand", "creator", "source", "tags", "in_stock", "currency"]
FACETS: tuple[Facet, ...] = get_args(Facet)


class FacetsRequest(Model):
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
        description="What is counted; for a field without the filter on that field, to show what else there is",
    )
    any_of: tuple[Filters, ...] = Field((), max_length=10, description="What is counted satisfies one of these")
    none_of: tuple[Filters, ...] = Field((), max_length=10, description="What is counted satisfies none of these")
    restricted: bool = Field(default=False, description="Whether items whose labels restrict them count too")
    limit: int = Field(20, ge=1, le=200, description="Values of each field at most, the most frequent ones")
    deadline_ms: int = Field(
        5_000, ge=50, le=60_000, description="Milliseconds after the record's time; later it is answered `expired`"
    )

    @model_validator(mode="after")
    def _reject_empty_filters(self) -> Self:
        if any(filters == Filters() for filters in (*self.any_of, *self.none_of)):
            raise ValueError("a filter of `any_of` or `none_of` is empty, so everything satisfies it: leave it out")
        return self


class FacetCount(Model):
    """Number of items that have a value; an item is counted by its main picture."""

    value: str = Field(description="A value of the field; for in_stock true or false")
    count: int = Field(ge=1, description="Items that have it")


class FacetsResult(Model):
    """The result of a facets request; each request gets exactly one."""

    schema_: Literal["facets.result/1"] = Field(
        "facets.result/1", alias="schema", description="Name and version of this event"
    )
    request_id: RequestId
    status: Status = Field(description="ok, rejected, expired or unavailable")
    counts: dict[Facet, tuple[FacetCount, ...]] = Field(
        default_factory=dict, description="For each field its values, the most frequent first"
    )
    code: Code | None = Field(None, description="Why it was rejected")
    message: str | None = Field(None, max_length=500, description="One sentence with the remedy, unless ok")
