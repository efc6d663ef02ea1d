"""Condition evaluation: test payload conditions in Python, for points that are not in an index yet."""

from collections.abc import Iterable

from infra.qdrant.conditions import AnyOf, Below, Between, Condition, HasWord, NoneOf, NotAnyOf
from infra.qdrant.contract import Payload


def satisfies_all(conditions: Iterable[Condition], payload: Payload) -> bool:
    """Whether the payload satisfies every condition, by the same rules as the index engines."""
    return all(holds(condition, payload) for condition in conditions)


def holds(condition: Condition, payload: Payload) -> bool:
    """Whether the payload satisfies the condition, by the same rules as the index engines."""
    match condition:
        case AnyOf(field, values):
            return not _field_values(payload, field).isdisjoint(values)
        case NotAnyOf(field, values):
            return _field_values(payload, field).isdisjoint(values)
        case Between(field):
            return _in_range(condition, payload.get(field))
        case Below(field, limit):
            number = payload.get(field)
            return not isinstance(number, int | float) or number < limit
        case HasWord(field, words):
            return not set(str(payload.get(field, "")).split()).isdisjoint(words)
        case NoneOf(groups):
            return not any(satisfies_all(group, payload) for group in groups)
        case _:
            return any(satisfies_all(group, payload) for group in condition.groups)


def _field_values(payload: Payload, field: str) -> set[object]:
    """Return the set of values of a field; a single value becomes a set of one, a missing field {None}."""
    value = payload.get(field)
    return set(value) if isinstance(value, list) else {value}


def _in_range(bounds: Between, number: object) -> bool:
    return (
        isinstance(number, int | float)
        and (bounds.at_least is None or number >= bounds.at_least)
        and (bounds.at_most is None or number <= bounds.at_most)
        and (bounds.below is None or number < bounds.below)
    )
