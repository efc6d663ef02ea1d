"""Item enrichers: derive the predicted category, duplicates and matching watches of items from the index."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from consumers.indexing.duplicates import DuplicateFinder
from consumers.indexing.item_update import ItemUpdate
from consumers.indexing.watches.matcher import WatchMatcher
from consumers.indexing.watches.watch_matrix import WatchRows, no_watches
from consumers.points.payload import GIVEN, prediction_in
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.category_vote import CategoryVoter, UncategorisedItem
from infra.qdrant.contract import Index, Vector


@dataclass(frozen=True)
class ItemEnrichers:
    """Predicts the category of items, finds their duplicates, and finds the watches that they match."""

    index: Index
    categories: CategoryVoter
    duplicates: DuplicateFinder
    watches: WatchMatcher

    def enrich(self, updates: Sequence[ItemUpdate]) -> list[ItemUpdate]:
        """The updates with their predicted categories and their duplicates. Raises Unavailable."""
        return self.duplicates.add_duplicates(self._add_categories(updates))

    def _add_categories(self, updates: Sequence[ItemUpdate]) -> list[ItemUpdate]:
        """Predict the categories of the items that need one, from their main pictures.

        While the main picture is unchanged, its earlier prediction stays, also if there was no clear one. If the
        category had been given by an event until now, the prediction uses the look in the index.
        """
        uncategorised = [update for update in updates if update.needs_category]
        unchanged = [update for update in uncategorised if update.new_main_image is None]
        formerly_given = [update for update in unchanged if _facts(update).get("category_source") == GIVEN]
        predictions = {update: prediction_in(_facts(update)) for update in unchanged}
        ids = [update.item.ids[0] for update in formerly_given]
        vectors = self.index.vectors(ids) if ids else {}
        predictable = [update for update in uncategorised if update.new_main_image or update.item.ids[0] in vectors]
        votes = self.categories.predict([_uncategorised(update, vectors) for update in predictable])
        predictions |= {update: vote for update, vote in zip(predictable, votes, strict=True) if vote is not None}
        return [update.with_category(predictions.get(update)) for update in updates]


def enrichers_of(
    index: Index, confidence: Calibrator, watches: Callable[[str], WatchRows | None] = no_watches
) -> ItemEnrichers:
    """The enrichers for an index; `watches` returns the watches of a tenant."""
    duplicates = DuplicateFinder(index, confidence.parts)
    return ItemEnrichers(index, CategoryVoter(index, confidence), duplicates, WatchMatcher(watches, confidence))


def _facts(update: ItemUpdate) -> Mapping[str, object]:
    return update.stored.state.facts


def _uncategorised(update: ItemUpdate, vectors: Mapping[str, Vector]) -> UncategorisedItem:
    item = update.item
    if main := update.new_main_image:
        return UncategorisedItem(item.tenant, item.item_id, main.look.vector, main.look.studio)
    studio = update.stored.points[0].get("studio") == "true"
    return UncategorisedItem(item.tenant, item.item_id, vectors[item.ids[0]], studio)
