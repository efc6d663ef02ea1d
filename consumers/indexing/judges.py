"""Judges: who says of items what their events do not."""

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
    """Names the category of items, finds their duplicates, and the standing searches that they match."""

    categories: CategoryVoter
    duplicates: DuplicateFinder
    standing: WatchMatcher


def enrichers_of(
    index: Index, confidence: Calibrator, watches: Callable[[str], WatchRows | None] = no_watches
) -> ItemEnrichers:
    """Those who judge by what an index holds; `watches` gives the standing searches of a tenant."""
    duplicates = DuplicateFinder(index, confidence.parts)
    return ItemEnrichers(CategoryVoter(index, confidence), duplicates, WatchMatcher(watches, confidence))
