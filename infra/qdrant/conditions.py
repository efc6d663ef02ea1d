"""Payload conditions: an engine-neutral form of filters, which each engine translates into its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from infra.qdrant.colour_cells import filter_shades
from infra.qdrant.point_ids import IMAGE_NUMBER
from schemas.filters import Filters
from schemas.items import revision_at

LIVE, REGION, DEAD, META = "live", "region", "dead", "meta"
"""States of a point: a picture of a live item, a region of one, a tombstone, or metadata of the collection."""


@dataclass(frozen=True)
class AnyOf:
    """The field equals one of the values; a list field has at least one of them."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class NotAnyOf:
    """The field has none of the values."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Between:
    """The field is a number with at_least <= number <= at_most and number < below; None means no bound."""

    field: str
    at_least: float | None = None
    at_most: float | None = None
    below: float | None = None


@dataclass(frozen=True)
class Below:
    """The field is a number below the limit, or is missing."""

    field: str
    limit: int


@dataclass(frozen=True)
class HasWord:
    """The text field has at least one of the words: whole words, in the form in which the field holds them."""

    field: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class OneOf:
    """At least one group holds. A group holds when all of its conditions hold."""

    groups: "tuple[tuple[Condition, ...], ...]"


@dataclass(frozen=True)
class NoneOf:
    """None of the groups holds."""

    groups: "tuple[tuple[Condition, ...], ...]"


MAIN_PICTURE = Between(IMAGE_NUMBER, at_most=0)
"""Matches only the main picture of an item, one point per item, so counting matches counts items."""

Condition = AnyOf | NotAnyOf | Between | Below | HasWord | OneOf | NoneOf


def tenant_conditions(tenant: str) -> list[Condition]:
    """Conditions that match all points of a tenant, those of regions too."""
    return [AnyOf("tenant", (tenant,))]


def live_conditions(tenant: str | None) -> list[Condition]:
    """Conditions that match live points, of one tenant or (None) of all tenants; regions are not among them."""
    return _state_conditions(LIVE, tenant)


def region_conditions(tenant: str | None) -> list[Condition]:
    """Conditions that match the points of regions, of one tenant or (None) of all tenants."""
    return _state_conditions(REGION, tenant)


def picture_conditions(tenant: str) -> list[Condition]:
    """Conditions that match all points of a tenant but those of regions."""
    return [*tenant_conditions(tenant), NotAnyOf("state", (REGION,))]


def _state_conditions(state: str, tenant: str | None) -> list[Condition]:
    condition = AnyOf("state", (state,))
    return [condition] if tenant is None else [condition, *tenant_conditions(tenant)]


def filter_conditions(filters: Filters) -> list[Condition]:
    """Conditions that match points that pass every filter."""
    return _keyword_conditions(filters) + _range_conditions(filters)


def _keyword_conditions(filters: Filters) -> list[Condition]:
    stock = () if filters.in_stock is None else ("true" if filters.in_stock else "false",)
    any_of: dict[str, tuple[str, ...]] = {
        "source": filters.source,
        "category": filters.category,
        "brand": filters.brand,
        "creator": filters.creator,
        "shades": filter_shades(filters.colours),
        "tags": filters.tags,
        "in_stock": stock,
        "currency": (filters.currency,) if filters.currency else (),
    }
    conditions: list[Condition] = [AnyOf(name, values) for name, values in any_of.items() if values]
    conditions += _attribute_conditions(filters.attributes)
    return [*conditions, NotAnyOf("item_id", filters.exclude_items)] if filters.exclude_items else conditions


def _attribute_conditions(pairs: Sequence[str]) -> list[Condition]:
    """Return one condition per attribute name; the values of a name are alternatives."""
    names = dict.fromkeys(pair.partition("=")[0] for pair in pairs)
    return [AnyOf("attribute_values", tuple(p for p in pairs if p.partition("=")[0] == name)) for name in names]


def _range_conditions(filters: Filters) -> list[Condition]:
    price = Between("price", at_least=filters.price_min, at_most=filters.price_max)
    created = Between(
        "created_at", at_least=_timestamp_us(filters.created_after), below=_timestamp_us(filters.created_before)
    )
    revision = Between("revision", at_least=filters.revision_min, at_most=filters.revision_max)
    return [bounds for bounds in (price, created, revision) if bounds != Between(bounds.field)]


def _timestamp_us(when: datetime | None) -> int | None:
    return None if when is None else revision_at(when)
