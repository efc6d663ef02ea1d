"""Filters for qdrant-client: translate payload conditions, writes and index definitions to its types."""

from collections.abc import Sequence

from qdrant_client import models

from infra.qdrant import rows
from infra.qdrant.conditions import AnyOf, Below, Between, Condition, HasWord, NoneOf, NotAnyOf, OneOf
from infra.qdrant.contract import VECTOR, Patch
from infra.qdrant.payload_indexes import PayloadIndex


def index_of(field: PayloadIndex) -> models.PayloadSchemaParams:
    """Return the index parameters of a payload field."""
    match field.kind:
        case "tenant" | "keyword":
            keyword = models.KeywordIndexType.KEYWORD
            return models.KeywordIndexParams(type=keyword, is_tenant=field.kind == "tenant")
        case "label":
            return models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, enable_hnsw=False)
        case "float":
            return models.FloatIndexParams(type=models.FloatIndexType.FLOAT, enable_hnsw=False)
        case "integer":
            integer = models.IntegerIndexType.INTEGER
            return models.IntegerIndexParams(type=integer, lookup=False, range=True, enable_hnsw=False)
        case "text":
            return models.TextIndexParams(type=models.TextIndexType.TEXT, enable_hnsw=False, scoring=True)


def upsert_of(version: int, run: Sequence[rows.PointRow]) -> models.UpsertOperation:
    """Return the upsert of points of one version, applied only where the stored version is older."""
    points = [models.PointStruct(id=row.id, vector=_named_vector(row), payload=row.payload) for row in run]
    update_filter = filter_of([rows.older_than(version)])
    return models.UpsertOperation(upsert=models.PointsList(points=points, update_filter=update_filter))


def patch_of(patch: Patch) -> models.SetPayloadOperation:
    """Return the payload change of a patch, applied only to a live point whose stored version is older."""
    update_filter = filter_of(rows.patch_conditions(patch), [patch.id])
    return models.SetPayloadOperation(
        set_payload=models.SetPayload(payload=dict(patch.payload), filter=update_filter)
    )


def removal_of(conditions: Sequence[Condition], ids: Sequence[str] | None = None) -> models.DeleteOperation:
    """Return the deletion of points that satisfy all conditions and, if `ids` is given, have one of the ids."""
    return models.DeleteOperation(delete=models.FilterSelector(filter=filter_of(conditions, ids)))


def _named_vector(row: rows.PointRow) -> models.VectorStruct:
    return {VECTOR: row.vector} if row.vector else {}


def filter_of(conditions: Sequence[Condition], ids: Sequence[str] | None = None) -> models.Filter:
    """Return a filter that requires all conditions and, if `ids` is given, one of the ids."""
    must: list[models.Condition] = [] if ids is None else [models.HasIdCondition(has_id=list(ids))]
    must_not: list[models.Condition] = []
    for condition in conditions:
        (must_not if isinstance(condition, NotAnyOf | Below | NoneOf) else must).append(_translate(condition))
    return models.Filter(must=must, must_not=must_not)


def _translate(condition: Condition) -> models.Condition:
    """Translate a condition; for NotAnyOf, Below and NoneOf the result is the condition that must not hold."""
    match condition:
        case AnyOf(field, values) | NotAnyOf(field, values):
            return models.FieldCondition(key=field, match=models.MatchAny(any=list(values)))
        case Between(field, at_least, at_most, below):
            return models.FieldCondition(key=field, range=models.Range(gte=at_least, lte=at_most, lt=below))
        case Below(field, limit):
            return models.FieldCondition(key=field, range=models.Range(gte=limit))
        case HasWord(field, words):
            return models.FieldCondition(key=field, match=models.MatchTextAny(text_any=" ".join(words)))
        case OneOf(groups) | NoneOf(groups):
            return models.Filter(should=[filter_of(group) for group in groups])
