"""Item enrichers: derive the predicted category, duplicates and matching watches of items from the index."""

from collections.abc import Callable
from dataclasses import dataclass

from consumers.indexing.duplicates import DuplicateFinder
from consumers.indexing.watches.matcher import WatchMatcher
from consumers.indexing.watches.watch_matrix import WatchRows, no_watches
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.category_vote import CategoryVoter
from infra.qdrant.contract import Index


@dataclass(frozen=True)
class ItemEnrichers:
    """Predicts the category of items, finds their duplicates, and finds the watches that they match."""

    categories: CategoryVoter
    duplicates: DuplicateFinder
    watches: WatchMatcher


def enrichers_of(
    index: Index, confidence: Calibrator, watches: Callable[[str], WatchRows | None] = no_watches
) -> ItemEnrichers:
    """The enrichers for an index; `watches` returns the watches of a tenant."""
    duplicates = DuplicateFinder(index, confidence.parts)
    return ItemEnrichers(CategoryVoter(index, confidence), duplicates, WatchMatcher(watches, confidence))
