"""Judges: who says of items what their events do not."""

from collections.abc import Callable
from dataclasses import dataclass

from consumers.indexing.duplicates import Duplicates
from consumers.indexing.watches.matcher import Standing
from consumers.indexing.watches.watch_matrix import Rows, no_watches
from consumers.scoring.calibrator import Confidence
from consumers.scoring.category_vote import Categories
from infra.qdrant.contract import Index


@dataclass(frozen=True)
class Judges:
    """Names the category of items, finds their duplicates, and the standing searches that they match."""

    categories: Categories
    duplicates: Duplicates
    standing: Standing


def judges_of(index: Index, confidence: Confidence, watches: Callable[[str], Rows | None] = no_watches) -> Judges:
    """Those who judge by what an index holds; `watches` gives the standing searches of a tenant."""
    duplicates = Duplicates(index, confidence.parts)
    return Judges(Categories(index, confidence), duplicates, Standing(watches, confidence))
