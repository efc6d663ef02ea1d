"""Event merging: apply the events of one item, in any order, to the state that the index holds of it.

    upsert r    applies unless there is a newer upsert or delete; sets the whole item as of revision r
    delete r    likewise
    patch r     sets facts as of r, each unless a newer patch has set it, on top of an upsert older than r
    block r     an upsert or patch with blocking labels: the item is not searchable until an upsert newer than r

The result depends only on which events there were, not on their order or on how they were batched.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal, NoReturn

from consumers.embedding.moderation import ALLOW_ALL, ModerationPolicy
from consumers.points.payload import FACTS, ItemState, facts_payload, image_source
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected, TryLater
from schemas.items import ImageRef, InlineImage, ItemDeleted, ItemEvent, ItemPatched, ItemUpserted, item_key

Precedence = Literal["counts", "superseded"]
UNKNOWN_ITEM_RETRIES = 3
"""Number of retry topics in which a patch waits for the upsert of its item: 11 minutes in all."""

Values = Mapping[str, object]
"""Payload keys and their values; a fact that is not known has no keys."""


@dataclass(frozen=True)
class ItemChange:
    """An item event of a batch."""

    event: Event
    body: ItemEvent
    facts: Mapping[str, Values]
    """The facts that the event sets, each as payload; a fact that it removes has no values."""
    digest: str
    """Digest of an upsert or delete, empty for a patch. Equal digests mean the same content and revision."""

    @property
    def id(self) -> str:
        """The event's id."""
        return self.event.id


@dataclass(frozen=True)
class MergeResult:
    """The result of merging the events of one item."""

    state: ItemState
    base_change: ItemChange | None
    """The upsert or delete on which the state is based, if it is among these events; also if the index had it
    before. None for a blocked item: its pictures are not needed."""
    outcomes: Mapping[str, Precedence | Failure]
    """The outcome of each event, by its id."""


def changes_by_item(events: Iterable[Event]) -> dict[str, list[ItemChange]]:
    """The item events by item key, in their order and each id once; other events are left out."""
    items: dict[str, dict[str, ItemChange]] = {}
    for event in events:
        if isinstance(event.body, ItemEvent):
            changes = items.setdefault(item_key(event.body.tenant, event.body.item_id), {})
            if event.id not in changes:
                changes[event.id] = ItemChange(event, event.body, _facts_of(event.body), digest_of(event.body))
    return {key: list(changes.values()) for key, changes in items.items()}


def digest_of(body: ItemEvent) -> str:
    """32 hex digits of the content of an upsert or delete, however its JSON is written; empty for a patch."""
    if isinstance(body, ItemPatched):
        return ""
    content: list[object] = [body.schema_, body.revision, body.source]
    if isinstance(body, ItemUpserted):
        content += [facts_payload(body), [_image_content(ref) for ref in body.images]]
        content += [body.objects] if body.objects else []  # without the field, digests are as they were before it
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def merge(known: ItemState, changes: Sequence[ItemChange], policy: ModerationPolicy = ALLOW_ALL) -> MergeResult:
    """Apply the events of one item to its known state; of two conflicting events the first one applies."""
    state = known
    conflicts: dict[str, Failure] = {}
    for change in sorted(changes, key=lambda each: (each.body.revision, isinstance(each.body, ItemPatched))):
        try:
            state = _apply_block(_apply(state, change), change, policy)
        except Rejected as conflict:
            conflicts[change.id] = conflict
    accepted = [change for change in changes if change.id not in conflicts]
    bases = (change for change in accepted if change.digest and change.digest == state.digest)
    base_change = None if state.blocked else next(bases, None)
    verdicts: dict[str, Precedence | Failure] = {change.id: _verdict(state, change) for change in accepted}
    return MergeResult(state, base_change, verdicts | conflicts)


def _apply(state: ItemState, change: ItemChange) -> ItemState:
    """The state after an event, if all older events are in it already; raises Rejected if the event conflicts."""
    body = change.body
    if isinstance(body, ItemPatched):
        return _apply_patch(state, change, body)
    if body.revision < state.base:
        return state
    if body.revision == state.base:
        if change.digest != state.digest:
            _conflict(body)
        return state
    patched = {fact: revision for fact, revision in state.patched.items() if revision > body.revision}
    facts = _with_facts({}, {**change.facts, **{fact: _values(state.facts, fact) for fact in patched}})
    new_state = ItemState(body.revision, isinstance(body, ItemUpserted), change.digest, facts, patched)
    block_lifted = state.blocked_revision <= body.revision
    return new_state if block_lifted else new_state.block(state.blocked, state.blocked_revision)


def _apply_patch(state: ItemState, change: ItemChange, patch: ItemPatched) -> ItemState:
    if patch.revision == state.base:
        _conflict(patch)
    if patch.revision < state.base or not (state.live or state.blocked):
        return state
    if patch.revision <= state.blocked_revision:
        return state
    revisions = state.patched
    if any(
        revisions.get(fact) == patch.revision and _values(state.facts, fact) != values
        for fact, values in change.facts.items()
    ):
        _conflict(patch)
    newer = {fact: values for fact, values in change.facts.items() if revisions.get(fact, 0) < patch.revision}
    patched = {**revisions, **dict.fromkeys(newer, patch.revision)}
    return replace(state, facts=_with_facts(state.facts, newer), patched=patched)


def _apply_block(state: ItemState, change: ItemChange, policy: ModerationPolicy) -> ItemState:
    """The state, with the item blocked if this event has blocking labels and no newer event has blocked it.

    Labels in other patches make no difference.
    """
    body = change.body
    labels = policy.blocked_labels(_labels(body))
    exists = state.live or state.blocked
    if not labels or not exists or body.revision < max(state.base, state.blocked_revision + 1):
        return state
    return state.block(labels, body.revision)


def _labels(body: ItemEvent) -> Sequence[str]:
    if isinstance(body, ItemDeleted):
        return ()
    return (body.facts if isinstance(body, ItemPatched) else body).moderation


def _verdict(state: ItemState, change: ItemChange) -> Precedence | Failure:
    """The outcome of an event, given the final state of its item."""
    body = change.body
    if not isinstance(body, ItemPatched):
        return "counts" if body.revision == state.base else "superseded"
    revisions = [state.patched.get(fact, 0) for fact in change.facts]
    if body.revision < state.base or (revisions and min(revisions) > body.revision):
        return "superseded"
    if state.live or state.blocked:
        return "counts"
    # A deleted item retains its patches, because the upsert to which they belong may still arrive.
    return "superseded" if revisions and min(revisions) == body.revision else _unknown_item(body)


def _facts_of(body: ItemEvent) -> dict[str, Values]:
    if isinstance(body, ItemDeleted):
        return {}
    facts = body.facts if isinstance(body, ItemPatched) else body
    payload = facts_payload(facts)
    return {fact: _values(payload, fact) for fact in FACTS if fact in facts.model_fields_set}


def _values(facts: Values, fact: str) -> Values:
    return {key: facts[key] for key in FACTS[fact] if key in facts}


def _with_facts(facts: Values, newer: Mapping[str, Values]) -> Values:
    """Facts as payload, with some of them replaced or removed."""
    replaced = {key for fact in newer for key in FACTS[fact]}
    unchanged = {key: value for key, value in facts.items() if key not in replaced}
    return unchanged | {key: value for values in newer.values() for key, value in values.items()}


def _image_content(ref: ImageRef) -> object:
    return sha256(ref.data).hexdigest() if isinstance(ref, InlineImage) else image_source(ref)


def _conflict(body: ItemEvent) -> NoReturn:
    raise Rejected(
        Code.REVISION_CONFLICT,
        f"item {body.item_id} has another event of revision {body.revision} with other content: "
        "give every event of an item its own revision",
    )


def _unknown_item(patch: ItemPatched) -> TryLater:
    text = f"item {patch.item_id} is not indexed, so it cannot be patched: send item.upserted/1 first"
    return TryLater(Code.ITEM_UNKNOWN, text, UNKNOWN_ITEM_RETRIES)
