"""The words of infra.qdrant.contract in those of qdrant-client."""

from collections.abc import Sequence

from qdrant_client import models

from infra.qdrant import rows
from infra.qdrant.conditions import AnyOf, Below, Between, Condition, NoneOf, NotAnyOf, OneOf
from infra.qdrant.contract import VECTOR, Patch
from infra.qdrant.payload_indexes import PayloadIndex


def index_of(field: PayloadIndex) -> models.PayloadSchemaParams:
    """How a payload field is indexed."""
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


def upsert_of(version: int, group: Sequence[rows.PointRow]) -> models.UpsertOperation:
    """The write of points of one version, where the stored one is older."""
    points = [models.PointStruct(id=row.id, vector=_named(row), payload=row.payload) for row in group]
    where = filter_of([rows.older_than(version)])
    return models.UpsertOperation(upsert=models.PointsList(points=points, update_filter=where))


def patch_of(patch: Patch) -> models.SetPayloadOperation:
    """The change of payloads, of live points whose stored version is older."""
    where = filter_of(rows.patched_by(patch), [patch.id])
    return models.SetPayloadOperation(set_payload=models.SetPayload(payload=dict(patch.payload), filter=where))


def removal_of(wanted: Sequence[Condition], ids: Sequence[str] | None = None) -> models.DeleteOperation:
    """The removal of the points that satisfy all of the conditions."""
    return models.DeleteOperation(delete=models.FilterSelector(filter=filter_of(wanted, ids)))


def _named(row: rows.PointRow) -> models.VectorStruct:
    return {VECTOR: row.vector} if row.vector else {}


def filter_of(wanted: Sequence[Condition], ids: Sequence[str] | None = None) -> models.Filter:
    """All of the conditions, and one of the ids if there are any."""
    must: list[models.Condition] = [] if ids is None else [models.HasIdCondition(has_id=list(ids))]
    must_not: list[models.Condition] = []
    for condition in wanted:
        (must_not if isinstance(condition, NotAnyOf | Below | NoneOf) else must).append(_lower(condition))
    return models.Filter(must=must, must_not=must_not)


def _lower(condition: Condition) -> models.Condition:
    """A condition in qdrant-client's words; of NotAnyOf, Below and NoneOf what must not hold."""
    match condition:
        case AnyOf(field, values) | NotAnyOf(field, values):
            return models.FieldCondition(key=field, match=models.MatchAny(any=list(values)))
        case Between(field, at_least, at_most, below):
            return models.FieldCondition(key=field, range=models.Range(gte=at_least, lte=at_most, lt=below))
        case Below(field, limit):
            return models.FieldCondition(key=field, range=models.Range(gte=limit))
        case OneOf(groups) | NoneOf(groups):
            return models.Filter(should=[filter_of(group) for group in groups])
