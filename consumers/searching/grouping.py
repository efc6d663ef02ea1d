"""Candidates: enough hits for each search, when of one brand or creator only some may be among them.

The engines return one hit an item. To have no more than a few of a brand, the brands that have enough are left out
and the rest is asked for again, so that the page is full as long as there is anything to fill it with.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from infra.qdrant.conditions import NotAnyOf
from infra.qdrant.contract import Index, ScoredPoint, SearchPlan

ROUNDS = 5
"""Each asks for twice as many as the one before: what five rounds have not found is not worth a sixth."""
MOST = 1_000
"""Hits that one round asks for."""


@dataclass(frozen=True)
class Grouping:
    """How many hits a search wants and, if collapsed, how many at most of each value of a payload field."""

    count: int
    field: str | None = None
    size: int = 1

    def collapse(self, found: Sequence[ScoredPoint]) -> list[ScoredPoint]:
        """Those that stay when each group keeps its first ones; hits without a value stand alone."""
        if self.field is None:
            return list(found)
        kept, groups = list[ScoredPoint](), Counter[str]()
        for one in found:
            group = self.group(one)
            groups[group or ""] += 1
            if group is None or groups[group] <= self.size:
                kept.append(one)
        return kept

    def full(self, found: Sequence[ScoredPoint]) -> tuple[str, ...]:
        """The groups that have as many hits as they may have."""
        groups = Counter(group for one in found if (group := self.group(one)) is not None)
        return tuple(group for group, count in groups.items() if count >= self.size)

    def group(self, one: ScoredPoint) -> str | None:
        """The group that a hit belongs to."""
        value = one.payload.get(self.field) if self.field else None
        return value if isinstance(value, str) else None


def gather(index: Index, plans: Sequence[SearchPlan], wanted: Sequence[Grouping]) -> list[list[ScoredPoint]]:
    """At least as many hits for each plan as are wanted of it, if there are any, best first and collapsed."""
    found: list[dict[str, ScoredPoint]] = [{} for _ in plans]
    waiting = list(range(len(plans)))
    for turn in range(ROUNDS):
        if not waiting:
            break
        asked = [_asked(plans[at], wanted[at], list(found[at].values()), turn) for at in waiting]
        answers = index.search(asked)
        for at, hits in zip(waiting, answers, strict=True):
            found[at] |= {hit.id: hit for hit in hits if hit.id not in found[at]}
        waiting = [
            at
            for at, plan, hits in zip(waiting, asked, answers, strict=True)
            if len(hits) == plan.limit and len(wanted[at].collapse(_best(found[at]))) < wanted[at].count
        ]
    return [one.collapse(_best(hits)) for one, hits in zip(wanted, found, strict=True)]


def _asked(plan: SearchPlan, wanted: Grouping, found: Sequence[ScoredPoint], turn: int) -> SearchPlan:
    if wanted.field is None:
        return replace(plan, limit=wanted.count)
    full = wanted.full(found)
    left_out = (NotAnyOf(wanted.field, full),) if full else ()
    return replace(plan, limit=min(MOST, wanted.count << turn + 1), also=plan.also + left_out)


def _best(found: dict[str, ScoredPoint]) -> list[ScoredPoint]:
    return sorted(found.values(), key=lambda hit: -hit.score)
