"""Condition evaluation: test payload conditions in Python, for points that are at hand or not in an index yet."""

from collections.abc import Callable, Iterable

from infra.qdrant.conditions import AnyOf, Below, Between, Condition, HasWord, NoneOf, NotAnyOf
from infra.qdrant.contract import Payload

Predicate = Callable[[Payload], bool]


def compile_condition(condition: Condition) -> Predicate:
    """Return a function that tells if a payload satisfies the condition, by the same rules as the index engines."""
    match condition:
        case AnyOf(field, values):
            allowed = frozenset(values)
            return lambda payload: not allowed.isdisjoint(_field_values(payload, field))
        case NotAnyOf(field, values):
            denied = frozenset(values)
            return lambda payload: denied.isdisjoint(_field_values(payload, field))
        case Between(field):
            return lambda payload: _in_range(condition, payload.get(field))
        case Below(field, limit):
            return lambda payload: not isinstance(number := payload.get(field), int | float) or number < limit
        case HasWord(field, words):
            known = frozenset(words)
            return lambda payload: not known.isdisjoint(str(payload.get(field, "")).split())
        case NoneOf(groups):
            excluded = [compile_all(group) for group in groups]
            return lambda payload: not any(group(payload) for group in excluded)
        case _:
            alternatives = [compile_all(group) for group in condition.groups]
            return lambda payload: any(group(payload) for group in alternatives)


def compile_all(conditions: Iterable[Condition]) -> Predicate:
    """Return a function that tells if a payload satisfies every condition."""
    predicates = [compile_condition(condition) for condition in conditions]
    return predicates[0] if len(predicates) == 1 else lambda payload: all(each(payload) for each in predicates)


def satisfies_all(conditions: Iterable[Condition], payload: Payload) -> bool:
    """Whether one payload satisfies every condition."""
    return compile_all(conditions)(payload)


def _field_values(payload: Payload, field: str) -> Iterable[object]:
    """Return the values of a field; of a missing field None alone."""
    value = payload.get(field)
    return value if isinstance(value, list) else (value,)


def _in_range(bounds: Between, number: object) -> bool:
    return (
        isinstance(number, int | float)
        and (bounds.at_least is None or number >= bounds.at_least)
        and (bounds.at_most is None or number <= bounds.at_most)
        and (bounds.below is None or number < bounds.below)
    )
