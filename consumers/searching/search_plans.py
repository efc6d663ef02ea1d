"""Search plans: what a search asks of the index, for its hits, the vote on its category, and its neighbours."""

from dataclasses import replace

from consumers.embedding.moderation import ModerationPolicy
from consumers.points.payload import HIT_KEYS
from consumers.scoring.category_vote import VOTE_WEIGHTS, voter_plan
from consumers.scoring.look_parts import LookParts
from consumers.searching.query_state import QueryState
from infra.qdrant.contract import SearchPlan, Vector
from infra.qdrant.payload_indexes import WORDS
from schemas.ranking import Weights

PREFERENCE_KEYS = ("attribute_values", "shades", WORDS)
"""The payload keys that only preferences of words compare."""
NEIGHBOUR_COUNT = 100
NEIGHBOUR_KEYS = ("category", "brand", "tags", "attribute_values", "colours", "shades", WORDS, "price", "currency")
"""Neighbours of an item whose facts are compared with its own, and these facts."""
SMALL_PART_HNSW_EF, HNSW_EF = 512, 128
"""hnsw_ef: when most of the weight is on a small part of the look, the graph search needs more (DECISIONS.md)."""


def search_plan(search: QueryState, parts: LookParts, policy: ModerationPolicy) -> SearchPlan:
    """Return the plan of the hits of a search."""
    request, weights = search.request, search.weights
    total = weights.object + weights.style + weights.colour
    return SearchPlan(
        vector=_plan_vector(search, parts, weights),
        tenant=request.tenant,
        filters=search.inferred_intent.apply_filters(request.filters),
        excluded_ids=request.named_items,
        any_of=request.any_of,
        none_of=request.none_of,
        extra_conditions=(*policy.visibility_conditions(restricted=request.restricted), *search.word_conditions),
        min_score=None if search.is_adapted or search.has_meaning else request.min_score,
        included_keys=(
            *HIT_KEYS,
            *(("thumbnail",) if request.thumbnails else ()),
            *(PREFERENCE_KEYS if search.words.preferences else ()),
        ),
        includes_regions=True,
        hnsw_ef=HNSW_EF if weights.object >= 0.5 * total else SMALL_PART_HNSW_EF,
    )


def vote_plan(search: QueryState, parts: LookParts) -> SearchPlan:
    """Return the plan of the items that vote on the category of a search."""
    query = parts.apply_weights(search.query_vector, VOTE_WEIGHTS)
    return voter_plan(query, search.request.tenant, search.request.named_items)


def neighbour_plan(plan: SearchPlan) -> SearchPlan:
    """Return the plan of the items with whose facts an item is compared, from the plan of its hits."""
    return replace(plan, included_keys=NEIGHBOUR_KEYS)


def _plan_vector(search: QueryState, parts: LookParts, weights: Weights) -> Vector:
    """Return the query vector; the index then scores a look, and how well it fits the text, in one search."""
    vector = parts.apply_weights(search.query_vector, weights)
    return vector + search.meaning.vector if search.meaning and search.has_meaning else vector
