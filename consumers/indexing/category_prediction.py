"""Naming: items whose events name no category get the one that their main pictures clearly have."""

from collections.abc import Mapping, Sequence

from consumers.indexing.item_update import ItemUpdate
from consumers.points.payload import GIVEN, prediction_in
from consumers.scoring.category_vote import CategoryVoter, UnnamedItem
from infra.qdrant.contract import Index, Vector


def name_items(entries: Sequence[ItemUpdate], categories: CategoryVoter, index: Index) -> None:
    """Name those of the items that need it. Raises Unavailable.

    Of a main picture that is still the same, what was predicted stays, also that nothing was; when an event had
    given the category, the look that the index holds is asked.
    """
    unnamed = [entry for entry in entries if entry.is_unnamed]
    same = [entry for entry in unnamed if entry.looked_main is None]
    given = [entry for entry in same if entry.known.state.facts.get("category_source") == GIVEN]
    for entry in same:
        entry.name(prediction_in(entry.known.state.facts))
    stored = index.vectors([entry.ids[0] for entry in given]) if given else {}
    asked = [entry for entry in unnamed if entry.looked_main or entry.ids[0] in stored]
    likely = categories.of([_as_asked(entry, stored) for entry in asked])
    for entry, winner in zip(asked, likely, strict=True):
        entry.name(winner)


def _as_asked(entry: ItemUpdate, stored: Mapping[str, Vector]) -> UnnamedItem:
    if main := entry.looked_main:
        return UnnamedItem(entry.tenant, entry.item_id, main.look.vector, main.look.studio)
    studio = entry.known.points[0].get("studio") == "true"
    return UnnamedItem(entry.tenant, entry.item_id, stored[entry.ids[0]], studio)
