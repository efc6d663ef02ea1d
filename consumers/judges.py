"""Judges: who says of items what their events do not."""

from dataclasses import dataclass

from consumers.category import Categories
from consumers.confidence import Confidence
from consumers.duplicates import Duplicates
from infra.qdrant.plan import Index


@dataclass(frozen=True)
class Judges:
    """Names the category of items, and finds their duplicates."""

    categories: Categories
    duplicates: Duplicates


def judges_of(index: Index, confidence: Confidence) -> Judges:
    """Those who judge by what an index holds."""
    return Judges(Categories(index, confidence), Duplicates(index, confidence.parts))
