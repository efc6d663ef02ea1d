"""`lookstream` whose searches of the index go through the graph with the least effort; takes its words."""

from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import patch

from infra.qdrant.contract import ScoredPoint, SearchPlan
from infra.qdrant.embedded.client import EmbeddedIndex
from lookstream.__main__ import main

LEAST = 1
search = EmbeddedIndex.search


def glance(index: EmbeddedIndex, plans: Sequence[SearchPlan]) -> list[list[ScoredPoint]]:
    """What a search finds that follows one path."""
    return search(index, [replace(plan, hnsw_ef=LEAST) for plan in plans])


if __name__ == "__main__":
    with patch.object(EmbeddedIndex, "search", glance):
        main()
