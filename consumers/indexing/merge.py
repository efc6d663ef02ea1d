"""Coalescing: what events say of one item, in any order, folded onto what counts of it already.

    upsert r    counts when no newer event was an upsert or delete; it says everything as of r
    delete r    likewise
    patch r     sets facts as of r, each unless a newer patch has set it, on top of an upsert older than r
    block r     an upsert or patch with labels that block: the item is out until an upsert newer than r

What comes of it depends on which events there were, not on their order nor on how they were batched.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal, NoReturn

from consumers.embedding.moderation import OPEN, ModerationPolicy
from consumers.points.payload import FACTS, ItemState, facts_payload, where
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected, TryLater
from schemas.items import ImageRef, InlineImage, ItemDeleted, ItemEvent, ItemPatched, ItemUpserted, item_key

Precedence = Literal["counts", "superseded"]
UNKNOWN_TRIES = 3
"""Retry topics in which a patch waits for the upsert of its item: 11 minutes in all."""

Values = Mapping[str, object]
"""Payload keys and their values; a fact that is not known has none."""


@dataclass(frozen=True)
class ItemChange:
    """An item event of a batch."""

    event: Event
    body: ItemEvent
    said: Mapping[str, Values]
    """The facts that it sets, each as payload; those that it takes away have no values."""
    digest: str
    """Of upserts and deletes; two are the same when the events say the same thing with the same revision."""

    @property
    def id(self) -> str:
        """The event's id."""
        return self.event.id


@dataclass(frozen=True)
class MergeResult:
    """What events of one item come to."""

    state: ItemState
    base: ItemChange | None
    """The upsert or delete that the state rests on, when it is among these; also when the index had it before. None
    of an item that is blocked: its pictures are not wanted."""
    verdicts: Mapping[str, Precedence | Failure]
    """What becomes of each event, by its id."""


def changes_by_item(events: Iterable[Event]) -> dict[str, list[ItemChange]]:
    """The item events by item key, in their order, each id once; other events are left out."""
    items: dict[str, dict[str, ItemChange]] = {}
    for event in events:
        if isinstance(event.body, ItemEvent):
            told = items.setdefault(item_key(event.body.tenant, event.body.item_id), {})
            if event.id not in told:
                told[event.id] = ItemChange(event, event.body, _facts_said(event.body), digest_of(event.body))
    return {key: list(told.values()) for key, told in items.items()}


def digest_of(body: ItemEvent) -> str:
    """32 hex digits of what an upsert or delete says, whatever its spelling in JSON; nothing for a patch."""
    if isinstance(body, ItemPatched):
        return ""
    said: list[object] = [body.schema_, body.revision, body.source]
    if isinstance(body, ItemUpserted):
        said += [facts_payload(body), [_picture(ref) for ref in body.images]]
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


def merge(known: ItemState, told: Sequence[ItemChange], policy: ModerationPolicy = OPEN) -> MergeResult:
    """Fold the events of one item onto what counts of it; of two that contradict each other the first counts."""
    state = known
    refused: dict[str, Failure] = {}
    for one in sorted(told, key=lambda one: (one.body.revision, isinstance(one.body, ItemPatched))):
        try:
            state = _barred(_after(state, one), one, policy)
        except Rejected as conflict:
            refused[one.id] = conflict
    kept = [one for one in told if one.id not in refused]
    based = (one for one in kept if one.digest and one.digest == state.digest)
    base = None if state.blocked else next(based, None)
    verdicts: dict[str, Precedence | Failure] = {one.id: _verdict(state, one) for one in kept}
    return MergeResult(state, base, verdicts | refused)


def _after(state: ItemState, told: ItemChange) -> ItemState:
    """The state after an event, when all older ones are in it; raises Rejected when both contradict each other."""
    body = told.body
    if isinstance(body, ItemPatched):
        return _after_patch(state, told, body)
    if body.revision < state.base:
        return state
    if body.revision == state.base:
        if told.digest != state.digest:
            _conflict(body)
        return state
    patched = {fact: revision for fact, revision in state.patched.items() if revision > body.revision}
    facts = _with_facts({}, {**told.said, **{fact: _values(state.facts, fact) for fact in patched}})
    after = ItemState(body.revision, isinstance(body, ItemUpserted), told.digest, facts, patched)
    lifted = state.blocked_revision <= body.revision
    return after if lifted else after.barred(state.blocked, state.blocked_revision)


def _after_patch(state: ItemState, told: ItemChange, patch: ItemPatched) -> ItemState:
    if patch.revision == state.base:
        _conflict(patch)
    if patch.revision < state.base or not (state.live or state.blocked):
        return state
    if patch.revision <= state.blocked_revision:
        return state
    before = state.patched
    if any(before.get(f) == patch.revision and _values(state.facts, f) != said for f, said in told.said.items()):
        _conflict(patch)
    newer = {fact: values for fact, values in told.said.items() if before.get(fact, 0) < patch.revision}
    patched = {**before, **dict.fromkeys(newer, patch.revision)}
    return replace(state, facts=_with_facts(state.facts, newer), patched=patched)


def _barred(state: ItemState, told: ItemChange, policy: ModerationPolicy) -> ItemState:
    """The state, with the item blocked if this event says so and no newer one has: whatever other patches say."""
    body = told.body
    labels = policy.blocking(_labels(body))
    known = state.live or state.blocked
    if not labels or not known or body.revision < max(state.base, state.blocked_revision + 1):
        return state
    return state.barred(labels, body.revision)


def _labels(body: ItemEvent) -> Sequence[str]:
    if isinstance(body, ItemDeleted):
        return ()
    return (body.facts if isinstance(body, ItemPatched) else body).moderation


def _verdict(state: ItemState, told: ItemChange) -> Precedence | Failure:
    """What becomes of an event, by the state that its item has come to."""
    body = told.body
    if not isinstance(body, ItemPatched):
        return "counts" if body.revision == state.base else "superseded"
    revisions = [state.patched.get(fact, 0) for fact in told.said]
    if body.revision < state.base or (revisions and min(revisions) > body.revision):
        return "superseded"
    if state.live or state.blocked:
        return "counts"
    # A deleted item remembers its patches, for the upsert that they belong to may still come.
    return "superseded" if revisions and min(revisions) == body.revision else _unknown(body)


def _facts_said(body: ItemEvent) -> dict[str, Values]:
    if isinstance(body, ItemDeleted):
        return {}
    facts = body.facts if isinstance(body, ItemPatched) else body
    payload = facts_payload(facts)
    return {fact: _values(payload, fact) for fact in FACTS if fact in facts.model_fields_set}


def _values(facts: Values, fact: str) -> Values:
    return {key: facts[key] for key in FACTS[fact] if key in facts}


def _with_facts(facts: Values, newer: Mapping[str, Values]) -> Values:
    """Facts as payload, with some of them replaced or taken away."""
    replaced = {key for fact in newer for key in FACTS[fact]}
    kept = {key: value for key, value in facts.items() if key not in replaced}
    return kept | {key: value for values in newer.values() for key, value in values.items()}


def _picture(ref: ImageRef) -> object:
    return sha256(ref.data).hexdigest() if isinstance(ref, InlineImage) else where(ref)


def _conflict(body: ItemEvent) -> NoReturn:
    raise Rejected(
        Code.REVISION_CONFLICT,
        f"item {body.item_id} had another event of revision {body.revision} before, which said something else: "
        "give every event of an item a revision of its own",
    )


def _unknown(patch: ItemPatched) -> TryLater:
    text = f"item {patch.item_id} is not indexed, so it cannot be patched: send item.upserted/1 first"
    return TryLater(Code.ITEM_UNKNOWN, text, UNKNOWN_TRIES)
