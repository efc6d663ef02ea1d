"""Conditions on payloads, asked in Python: of points that are in no index yet."""

from collections.abc import Iterable

from infra.qdrant.conditions import AnyOf, Below, Between, Condition, NoneOf, NotAnyOf
from infra.qdrant.contract import Payload


def all_hold(wanted: Iterable[Condition], payload: Payload) -> bool:
    """Whether an index would say of a point with this payload that it satisfies every condition."""
    return all(holds(condition, payload) for condition in wanted)


def holds(condition: Condition, payload: Payload) -> bool:
    """Whether an index would say of a point with this payload that it satisfies the condition."""
    match condition:
        case AnyOf(field, values):
            return not _held(payload, field).isdisjoint(values)
        case NotAnyOf(field, values):
            return _held(payload, field).isdisjoint(values)
        case Between(field):
            return _lies(condition, payload.get(field))
        case Below(field, limit):
            number = payload.get(field)
            return not isinstance(number, int | float) or number < limit
        case NoneOf(groups):
            return not any(all_hold(group, payload) for group in groups)
        case _:
            return any(all_hold(group, payload) for group in condition.groups)


def _held(payload: Payload, field: str) -> set[object]:
    """The values of a field, of which there may be any number."""
    value = payload.get(field)
    return set(value) if isinstance(value, list) else {value}


def _lies(wanted: Between, number: object) -> bool:
    return (
        isinstance(number, int | float)
        and (wanted.at_least is None or number >= wanted.at_least)
        and (wanted.at_most is None or number <= wanted.at_most)
        and (wanted.below is None or number < wanted.below)
    )
