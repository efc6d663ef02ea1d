"""Result grouping: retrieve enough hits when the hits per brand, creator or duplicate group are limited.

The engines return one hit per item. To limit the hits of a brand, brands that already have enough hits are excluded
and the search is repeated. So the page is full as long as the index holds enough matching items.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from infra.qdrant.conditions import NotAnyOf
from infra.qdrant.contract import Index, ScoredPoint, SearchPlan

MAX_ROUNDS = 5
"""Each round requests twice as many hits as the previous one; after five rounds a sixth is not worth its cost."""
MAX_HITS_PER_ROUND = 1_000


@dataclass(frozen=True)
class Grouping:
    """Number of hits that a search needs and, if `field` is set, at most `size` hits per value of that field."""

    count: int
    field: str | None = None
    size: int = 1

    def collapse(self, hits: Sequence[ScoredPoint]) -> list[ScoredPoint]:
        """Keep the first `size` hits of each group; every hit without a value is a group of its own."""
        if self.field is None:
            return list(hits)
        collapsed, groups = list[ScoredPoint](), Counter[str | None]()
        for hit in hits:
            group = self.group_of(hit)
            groups[group] += 1
            if group is None or groups[group] <= self.size:
                collapsed.append(hit)
        return collapsed

    def full_groups(self, hits: Sequence[ScoredPoint]) -> tuple[str, ...]:
        """Return the groups that already have `size` hits or more."""
        groups = Counter(group for hit in hits if (group := self.group_of(hit)) is not None)
        return tuple(group for group, count in groups.items() if count >= self.size)

    def group_of(self, hit: ScoredPoint) -> str | None:
        """Return the group of a hit; None if it has no string value in the field."""
        value = hit.payload.get(self.field) if self.field else None
        return value if isinstance(value, str) else None


def gather(index: Index, plans: Sequence[SearchPlan], groupings: Sequence[Grouping]) -> list[list[ScoredPoint]]:
    """Return for each plan at least as many hits as its grouping needs, if they exist, best first and collapsed."""
    hits_by_id: list[dict[str, ScoredPoint]] = [{} for _ in plans]
    pending = list(range(len(plans)))
    for round_number in range(MAX_ROUNDS):
        if not pending:
            break
        round_plans = [
            _round_plan(plans[at], groupings[at], list(hits_by_id[at].values()), round_number) for at in pending
        ]
        results = index.search(round_plans)
        for at, hits in zip(pending, results, strict=True):
            hits_by_id[at] |= {hit.id: hit for hit in hits if hit.id not in hits_by_id[at]}
        pending = [
            at
            for at, plan, hits in zip(pending, round_plans, results, strict=True)
            if len(hits) == plan.limit
            and len(groupings[at].collapse(_by_score(hits_by_id[at]))) < groupings[at].count
        ]
    return [grouping.collapse(_by_score(hits)) for grouping, hits in zip(groupings, hits_by_id, strict=True)]


def _round_plan(plan: SearchPlan, grouping: Grouping, hits: Sequence[ScoredPoint], round_number: int) -> SearchPlan:
    if grouping.field is None:
        return replace(plan, limit=grouping.count)
    full = grouping.full_groups(hits)
    exclusions = (NotAnyOf(grouping.field, full),) if full else ()
    limit = min(MAX_HITS_PER_ROUND, grouping.count << round_number + 1)
    return replace(plan, limit=limit, extra_conditions=plan.extra_conditions + exclusions)


def _by_score(hits: dict[str, ScoredPoint]) -> list[ScoredPoint]:
    return sorted(hits.values(), key=lambda hit: -hit.score)
