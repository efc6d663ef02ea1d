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

    categories: CategoryVoter
    duplicates: DuplicateFinder
    watches: WatchMatcher


def enrichers_of(
    index: Index, confidence: Calibrator, watches: Callable[[str], WatchRows | None] = no_watches
) -> ItemEnrichers:
    """The enrichers for an index; `watches` returns the watches of a tenant."""
    duplicates = DuplicateFinder(index, confidence.parts)
    return ItemEnrichers(CategoryVoter(index, confidence), duplicates, WatchMatcher(watches, confidence))


def assign_categories(updates: Sequence[ItemUpdate], categories: CategoryVoter, index: Index) -> None:
    """Set the predicted category of the items that need one. Raises Unavailable.

    While the main picture is unchanged, its earlier prediction stays, also if there was no clear one. If the
    category had been given by an event until now, the prediction uses the look in the index.
    """
    uncategorised = [update for update in updates if update.needs_category]
    unchanged = [update for update in uncategorised if update.new_main_image is None]
    formerly_given = [update for update in unchanged if update.stored.state.facts.get("category_source") == GIVEN]
    for update in unchanged:
        update.set_category(prediction_in(update.stored.state.facts))
    vectors = index.vectors([update.ids[0] for update in formerly_given]) if formerly_given else {}
    predictable = [update for update in uncategorised if update.new_main_image or update.ids[0] in vectors]
    predictions = categories.predict([_unnamed_item(update, vectors) for update in predictable])
    for update, prediction in zip(predictable, predictions, strict=True):
        update.set_category(prediction)


def _unnamed_item(update: ItemUpdate, vectors: Mapping[str, Vector]) -> UncategorisedItem:
    if main := update.new_main_image:
        return UncategorisedItem(update.tenant, update.item_id, main.look.vector, main.look.studio)
    studio = update.stored.points[0].get("studio") == "true"
    return UncategorisedItem(update.tenant, update.item_id, vectors[update.ids[0]], studio)
