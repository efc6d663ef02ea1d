"""Coalescing: what a batch says of one item, folded into one event."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.envelope import Event
from schemas.items import ItemDeleted, ItemEvent, ItemPatched, ItemUpserted, item_key


@dataclass(frozen=True)
class Merged:
    """The newest state that a batch gives an item, and the events that it was folded from."""

    event: Event
    item: ItemEvent
    ids: tuple[str, ...]
    """Ids of the events that count; if the item fails, all of them do."""


def coalesce(events: Sequence[Event]) -> list[Merged]:
    """One event for each item: the newest that says everything, with newer patches folded in.

    Of two events of one revision the later in the batch counts, so that a replay changes nothing.
    Events that are not item events are left out.
    """
    by_item: dict[str, list[Merged]] = {}
    for event in events:
        if isinstance(event.body, ItemEvent):
            merged = Merged(event, event.body, (event.id,))
            by_item.setdefault(item_key(event.body.tenant, event.body.item_id), []).append(merged)
    return [_fold(sorted(group, key=lambda merged: merged.item.revision)) for group in by_item.values()]


def _fold(group: Sequence[Merged]) -> Merged:
    current = group[0]
    for newer in group[1:]:
        current = _patched(current, newer, newer.item) if isinstance(newer.item, ItemPatched) else newer
    return current


def _patched(before: Merged, newer: Merged, patch: ItemPatched) -> Merged:
    said = {name: getattr(patch.facts, name) for name in patch.facts.model_fields_set}
    match before.item:
        case ItemUpserted():
            item: ItemEvent = before.item.model_copy(update=said | {"revision": patch.revision})
        case ItemPatched():
            item = patch.model_copy(update={"facts": before.item.facts.model_copy(update=said)})
        case ItemDeleted():
            return before
    return Merged(newer.event, item, before.ids + newer.ids)
