"""`lookstream` whose searches use the smallest possible `hnsw_ef`, so that they miss hits. Same arguments."""

from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import patch

from infra.qdrant.contract import ScoredPoint, SearchPlan
from infra.qdrant.embedded.client import EmbeddedIndex
from lookstream.__main__ import main

LEAST = 1
search = EmbeddedIndex.search


def search_with_least_effort(index: EmbeddedIndex, plans: Sequence[SearchPlan]) -> list[list[ScoredPoint]]:
    """Search with one candidate in the graph."""
    return search(index, [replace(plan, hnsw_ef=LEAST) for plan in plans])


if __name__ == "__main__":
    with patch.object(EmbeddedIndex, "search", search_with_least_effort):
        main()
