"""Conditions on payloads: what filters ask of a point, in words that both engines are told in their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from infra.qdrant.colour_cells import shades_asked
from schemas.filters import Filters
from schemas.items import revision_at

LIVE, DEAD, META = "live", "dead", "meta"
"""The states of a point: to be found, a tombstone, or the one point that describes the collection."""


@dataclass(frozen=True)
class AnyOf:
    """The field holds one of the values (for a list: at least one of its values is among them)."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class NotAnyOf:
    """The field holds none of the values."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Between:
    """The field is a number with at_least <= number <= at_most and number < below; None: no such bound."""

    field: str
    at_least: float | None = None
    at_most: float | None = None
    below: float | None = None


@dataclass(frozen=True)
class Below:
    """The field is a number below the limit, or there is none."""

    field: str
    limit: int


@dataclass(frozen=True)
class OneOf:
    """At least one of the groups holds; a group holds when all of its conditions do."""

    groups: "tuple[tuple[Condition, ...], ...]"


@dataclass(frozen=True)
class NoneOf:
    """None of the groups holds."""

    groups: "tuple[tuple[Condition, ...], ...]"


MAIN_PICTURE = Between("n", at_most=0)
"""What holds of one point an item, the main picture's: whoever counts those counts items."""

Condition = AnyOf | NotAnyOf | Between | Below | OneOf | NoneOf


def of_tenant(tenant: str) -> list[Condition]:
    """What holds of all points of a tenant."""
    return [AnyOf("tenant", (tenant,))]


def live_of(tenant: str | None) -> list[Condition]:
    """What holds of the points that can be found, in all or of one tenant."""
    alive = AnyOf("state", (LIVE,))
    return [alive] if tenant is None else [alive, *of_tenant(tenant)]


def passing(filters: Filters) -> list[Condition]:
    """What holds of the points that pass every filter."""
    return _words(filters) + _numbers(filters)


def _words(filters: Filters) -> list[Condition]:
    stock = () if filters.in_stock is None else ("true" if filters.in_stock else "false",)
    any_of: dict[str, tuple[str, ...]] = {
        "source": filters.source,
        "category": filters.category,
        "brand": filters.brand,
        "creator": filters.creator,
        "shades": shades_asked(filters.colours),
        "tags": filters.tags,
        "in_stock": stock,
        "currency": (filters.currency,) if filters.currency else (),
    }
    wanted: list[Condition] = [AnyOf(name, values) for name, values in any_of.items() if values]
    wanted += _attributes(filters.attributes)
    return [*wanted, NotAnyOf("item_id", filters.exclude_items)] if filters.exclude_items else wanted


def _attributes(pairs: Sequence[str]) -> list[Condition]:
    """For each name one condition; its values are alternatives."""
    names = dict.fromkeys(pair.partition("=")[0] for pair in pairs)
    return [AnyOf("attribute_values", tuple(p for p in pairs if p.partition("=")[0] == name)) for name in names]


def _numbers(filters: Filters) -> list[Condition]:
    price = Between("price", at_least=filters.price_min, at_most=filters.price_max)
    created = Between("created_at", at_least=_moment(filters.created_after), below=_moment(filters.created_before))
    revision = Between("revision", at_least=filters.revision_min, at_most=filters.revision_max)
    return [wanted for wanted in (price, created, revision) if wanted != Between(wanted.field)]


def _moment(when: datetime | None) -> int | None:
    return None if when is None else revision_at(when)
