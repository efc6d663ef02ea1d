"""Item enrichers: what derives the predicted category, the duplicates and the matching watches of items."""

from collections.abc import Callable
from dataclasses import dataclass

from consumers.indexing.duplicates import DuplicateFinder
from consumers.indexing.watches.watch_matrix import WatchMatcher, WatchRows, no_watches
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.category_vote import CategoryVoter
from infra.qdrant.contract import Index


@dataclass(frozen=True)
class ItemEnrichers:
    """The enrichers of one index, in the order in which an item passes them."""

    categories: CategoryVoter
    duplicates: DuplicateFinder
    watches: WatchMatcher


def enrichers_of(
    index: Index, confidence: Calibrator, watches: Callable[[str], WatchRows | None] = no_watches
) -> ItemEnrichers:
    """The enrichers for an index; `watches` returns the watches of a tenant."""
    duplicates = DuplicateFinder(index, confidence.parts)
    return ItemEnrichers(CategoryVoter(index, confidence), duplicates, WatchMatcher(watches, confidence))
