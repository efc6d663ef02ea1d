"""Filters for qdrant-edge: translate payload conditions and index definitions to its types."""

from collections.abc import Sequence

import qdrant_edge as edge

from infra.qdrant.conditions import AnyOf, Below, Between, Condition, HasWord, NoneOf, NotAnyOf, OneOf
from infra.qdrant.payload_indexes import PayloadIndex


def index_of(
    field: PayloadIndex,
) -> edge.KeywordIndexParams | edge.FloatIndexParams | edge.IntegerIndexParams | edge.TextIndexParams:
    """Return the index parameters of a payload field."""
    match field.kind:
        case "tenant":
            return edge.KeywordIndexParams(is_tenant=True)
        case "keyword":
            return edge.KeywordIndexParams()
        case "label":
            return edge.KeywordIndexParams(enable_hnsw=False)
        case "float":
            return edge.FloatIndexParams(enable_hnsw=False)
        case "integer":
            return edge.IntegerIndexParams(lookup=False, range=True, enable_hnsw=False)
        case "text":
            return edge.TextIndexParams(enable_hnsw=False, scoring=True)


def filter_of(conditions: Sequence[Condition], ids: Sequence[str] | None = None) -> edge.Filter:
    """Return a filter that requires all conditions and, if `ids` is given, one of the ids."""
    must: list[edge.ConditionType] = [] if ids is None else [edge.HasIdCondition(set(ids))]
    must_not: list[edge.ConditionType] = []
    for condition in conditions:
        (must_not if isinstance(condition, NotAnyOf | Below | NoneOf) else must).append(_translate(condition))
    return edge.Filter(must=must, must_not=must_not)


def _translate(condition: Condition) -> "edge.ConditionType":
    """Translate a condition; for NotAnyOf, Below and NoneOf the result is the condition that must not hold."""
    match condition:
        case AnyOf(field, values) | NotAnyOf(field, values):
            return edge.FieldCondition(field, edge.MatchAny(list(values)))
        case Between(field, at_least, at_most, below):
            return edge.FieldCondition(field, range=edge.RangeFloat(gte=at_least, lte=at_most, lt=below))
        case Below(field, limit):
            return edge.FieldCondition(field, range=edge.RangeFloat(gte=limit))
        case HasWord(field, words):
            return edge.FieldCondition(field, edge.MatchTextAny(" ".join(words)))
        case OneOf(groups) | NoneOf(groups):
            return edge.Filter(should=[filter_of(group) for group in groups])
