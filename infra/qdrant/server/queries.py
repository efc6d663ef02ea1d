"""Server queries: one search and one facet on a Qdrant server."""

from dataclasses import replace

from qdrant_client import QdrantClient, models

from infra.qdrant.conditions import HasWord, picture_conditions
from infra.qdrant.contract import (
    MAX_FACET_VALUES,
    OVERSAMPLING,
    VECTOR,
    FacetPlan,
    ScoredPoint,
    SearchPlan,
    acorn_max_selectivity,
    conditions,
)
from infra.qdrant.payload_indexes import WORDS
from infra.qdrant.server.filters import filter_of


def search(client: QdrantClient, name: str, plan: SearchPlan) -> list[ScoredPoint]:
    """Return the hits of a plan, best first, one per item."""
    params = models.SearchParams(
        hnsw_ef=plan.hnsw_ef,
        exact=plan.exact,
        quantization=models.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING),
        acorn=models.AcornSearchParams(enable=True, max_selectivity=acorn_max_selectivity(plan)),
        idf=models.IdfCorpusParams(corpus=filter_of(picture_conditions(plan.tenant))) if plan.is_by_text else None,
    )
    answer = client.query_points_groups(
        name,
        group_by="item",
        query=_scoring(plan),
        using=WORDS if plan.is_by_text else VECTOR,
        query_filter=filter_of(conditions(plan)),
        search_params=params,
        score_threshold=plan.min_score,
        with_payload=plan.payload_keys or True,
        limit=plan.limit + len(plan.excluded_ids),
        group_size=1,
    )
    hits = [
        ScoredPoint(str(group.hits[0].id), group.hits[0].score, group.hits[0].payload or {})
        for group in answer.groups
    ]
    return [hit for hit in hits if hit.payload["item_id"] not in plan.excluded_ids][: plan.limit]


def filter_by_text(plan: SearchPlan) -> SearchPlan:
    """Return the plan with its text as a condition, for servers that do not rank by it."""
    if not plan.is_by_text:
        return plan
    condition = HasWord(WORDS, tuple(plan.text.split()))
    return replace(plan, text="", extra_conditions=(*plan.extra_conditions, condition))


def _scoring(plan: SearchPlan) -> list[float] | models.TextQuery | None:
    """Return what scores the hits; None for points by id."""
    if plan.vector is not None:
        vector: list[float] = plan.vector.tolist()
        return vector
    return models.TextQuery(text=plan.text) if plan.is_by_text else None


def count_values(client: QdrantClient, name: str, plan: FacetPlan) -> dict[str, int]:
    """Return the item count of each value of a facet."""
    facet = client.facet(name, plan.name, filter_of(conditions(plan)), limit=MAX_FACET_VALUES, exact=True)
    return {str(hit.value): hit.count for hit in facet.hits}
