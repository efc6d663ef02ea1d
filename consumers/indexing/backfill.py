"""Backfill: copy items from an older index into a new one, embedding their pictures again, between live batches.

The worker of a new index reads the topics from their start, so only items that the topics no longer hold need the
backfill. It scans the older index by point id, takes the facts as they are and fetches the pictures again. The
first pass copies every missing item. In a later pass an item may be missing only because its event has not been
read yet; the pass after that copies it if its state is still the same. The backfill is done when a pass finds no
such item. Its progress is a note in the new index, so that the process can be killed at any moment.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

import structlog
from pydantic import TypeAdapter

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.handler import ItemIndexer, image_requests
from consumers.indexing.images import ImageResolver
from consumers.indexing.item_update import ItemEvents, ItemUpdate, add_images, merge_item, read
from consumers.indexing.merge import ItemChange
from consumers.points.payload import (
    CATEGORY_FIELDS,
    KNOWN_KEYS,
    NOTIFIED_WATCHES,
    OBJECTS,
    ItemState,
    prediction_in,
    provenance,
    state_of,
    strings_in,
)
from consumers.points.stored_item import Points
from infra.qdrant.contract import Index, Payload
from infra.qdrant.point_ids import IMAGE_NUMBER, IMAGE_REFERENCE, point_ids
from schemas.envelope import Event
from schemas.items import FileImage, ImageRef, ItemDeleted, ItemUpserted

NOTE_NAME = "refill"
PAGE_SIZE = 16
"""Points of the older index that are read at a time."""
STEP_SECONDS = 0.25
"""Target duration of a step, for which live events wait. A page whose pictures take longer exceeds it."""
MAX_NAMED_ITEMS = 100
"""Maximum number of items without pictures that are listed by name; all of them are counted."""
MAX_FRUITLESS_PASSES = 3
"""Number of passes that try to fetch missing pictures, because image hosts are unavailable from time to time."""
GRACE_SECONDS = 5.0
"""How long an event may take to reach the new index after the older one has it."""
UNAVAILABLE_IMAGE = FileImage(root="gone", path="gone")
"""Placeholder for a picture that was inline in its event and cannot be fetched again, or that was left out."""

IMAGE_REF_ADAPTER: TypeAdapter[ImageRef] = TypeAdapter(ImageRef)


@dataclass(frozen=True)
class BackfillProgress:
    """Progress of a backfill. The field names are the keys of the note in the index."""

    passed: int = 0
    """Number of completed passes through the older index."""
    after: str | None = None
    """The id of the last point that this pass has read."""
    seen: int = 0
    """Number of points that this pass has read."""
    filled: int = 0
    """Number of items that were copied, in all passes."""
    in_pass: int = 0
    """Number of items that were copied in this pass."""
    missing: int = 0
    """Number of items in this pass whose main picture cannot be fetched again."""
    named: tuple[str, ...] = ()
    """Up to MAX_NAMED_ITEMS of the missing items, as tenant:item_id."""
    fruitless: int = 0
    """Number of consecutive passes that copied nothing although items were missing."""
    done: bool = False
    """Whether the last whole pass, or MAX_FRUITLESS_PASSES consecutive ones, found nothing that could be copied."""

    def advance(self, points: int, filled: int, missing: Sequence[str]) -> "BackfillProgress":
        """The progress after another page: numbers of points read and items copied, and the missing items."""
        return replace(
            self,
            seen=self.seen + points,
            filled=self.filled + filled,
            in_pass=self.in_pass + filled,
            missing=self.missing + len(missing),
            named=(*self.named, *missing)[:MAX_NAMED_ITEMS],
        )

    def end_pass(self, *, certain: bool) -> "BackfillProgress":
        """The progress after a pass; `certain`: whether a pass that copied nothing proves that nothing is left."""
        fruitless = self.fruitless + 1 if self.missing and not self.in_pass else 0
        if self.in_pass or not certain or (self.missing and fruitless < MAX_FRUITLESS_PASSES):
            return BackfillProgress(passed=self.passed + 1, filled=self.filled, fruitless=fruitless)
        return replace(self, passed=self.passed + 1, after=None, done=True)


PROGRESS_ADAPTER = TypeAdapter(BackfillProgress)


def restart_backfill(index: Index) -> None:
    """Restart the backfill of this index if it is done. Raises Unavailable."""
    if read_progress(index).done:
        index.put_note(NOTE_NAME, _note(BackfillProgress()))


def read_progress(index: Index) -> BackfillProgress:
    """The progress of the backfill of this index, from its note. Raises Unavailable."""
    note = index.notes([NOTE_NAME]).get(NOTE_NAME)
    return PROGRESS_ADAPTER.validate_python(dict(note)) if note else BackfillProgress()


@dataclass(eq=False)
class Backfill:
    """Copies items from the index `source` to the index `target` of `indexer`. For one thread."""

    source: Index
    target: Index
    pipeline: ImagePipeline
    indexer: ItemIndexer
    clock: Callable[[], float] = time.monotonic
    _progress: BackfillProgress | None = field(default=None, init=False)
    _skipped_before: dict[str, Payload] = field(default_factory=dict, init=False)
    """Items that the previous pass did not copy, with the provenance of their states."""
    _skipped_now: dict[str, Payload] = field(default_factory=dict, init=False)
    """Items that this pass has not copied so far, likewise."""
    _started_pass: bool = field(default=False, init=False)
    """Whether this process started the current pass: a process that is killed loses the skipped items."""
    _comparable: bool = field(default=False, init=False)
    """Whether this process ran the whole previous pass, and that pass skipped items whose events may arrive."""
    _not_before: float = field(default=float("-inf"), init=False)
    """The clock time before which there is nothing to do."""

    def step(self) -> None:
        """Copy a page, and further pages within STEP_SECONDS; do nothing once done. Raises Unavailable."""
        began = self.clock()
        if began < self._not_before:
            return
        if self._progress is None or self._progress.done:  # another process may have restarted the backfill
            self._progress, self._not_before = read_progress(self.target), began + GRACE_SECONDS
        while not self._progress.done:
            self._progress = self._copy_page(self._progress)
            self.target.put_note(NOTE_NAME, _note(self._progress))
            now = self.clock()
            if now - began >= STEP_SECONDS or now < self._not_before:
                break

    def _copy_page(self, progress: BackfillProgress) -> BackfillProgress:
        self._started_pass = self._started_pass or progress.after is None
        points, after = self.source.page(progress.after, PAGE_SIZE)
        updates = self._outdated([point.payload for point in points if point.payload.get(IMAGE_NUMBER) == 0])
        if progress.passed:
            updates = [update for update in updates if not self._may_arrive(update)]
        provenances = {update.item.key: _provenance(update) for update in updates}
        images = ImageResolver(self.pipeline, self.target)
        images.resolve(image_requests(updates))
        updates = [add_images(update, images, self.pipeline.policy) for update in updates]
        ready = [update for update in updates if update.is_ready and not update.item.failures]
        if ready:
            self.indexer.write(ready)
        missing = [update.item.key for update in updates if update.item.failures]
        self._skipped_now |= {key: provenances[key] for key in missing}
        progress = progress.advance(len(points), len(ready), missing)
        if after is not None:
            return replace(progress, after=after)
        counts = {"points": progress.seen, "filled": progress.in_pass, "missing": progress.missing}
        structlog.get_logger().info("backfill pass finished", **counts)
        return self._end_pass(progress)

    def _end_pass(self, progress: BackfillProgress) -> BackfillProgress:
        nothing_skipped = self._started_pass and not self._skipped_now
        certain = progress.passed == 0 or self._comparable or nothing_skipped
        self._comparable = self._started_pass and progress.passed > 0
        self._skipped_before, self._skipped_now = self._skipped_now, {}
        if self._skipped_before:
            self._not_before = self.clock() + GRACE_SECONDS
        return progress.end_pass(certain=certain)

    def _may_arrive(self, update: ItemUpdate) -> bool:
        """Whether the event may still arrive from its topic: the previous pass did not miss the same one."""
        if self._skipped_before.get(update.item.key) == _provenance(update):
            return False
        self._skipped_now[update.item.key] = _provenance(update)
        return True

    def _outdated(self, mains: Sequence[Payload]) -> list[ItemUpdate]:
        """Updates for the items of these main points for which the older index has newer events."""
        ids_of_items = [point_ids(str(main["tenant"]), str(main["item_id"])) for main in mains]
        old = self.source.payloads([id for ids in ids_of_items for id in ids], KNOWN_KEYS)
        new = self.target.payloads([ids[0] for ids in ids_of_items], KNOWN_KEYS)
        items, states = [], []
        for main, ids in zip(mains, ids_of_items, strict=True):
            points = {n: old[id] for n, id in enumerate(ids) if id in old}
            if 0 in points and _is_outdated(new.get(ids[0], {}), points[0]):
                items.append(_item(main, ids, points))
                states.append(_state(points[0]))
        stored = read(self.target, items, self.pipeline.regions) if items else []
        updates = [merge_item(item, each, self.pipeline.policy) for item, each in zip(items, stored, strict=True)]
        return [
            replace(update, merged=replace(update.merged, state=state))
            for update, state in zip(updates, states, strict=True)
        ]


def _provenance(update: ItemUpdate) -> Payload:
    """The provenance of an item's state in the older index."""
    return provenance(update.state.payload())


def _note(progress: BackfillProgress) -> Payload:
    return asdict(progress) | {"named": list(progress.named)}


def _is_outdated(new: Payload, old: Payload) -> bool:
    """Whether the older index's main point of an item, `old`, has newer events than the new index's."""
    target, source = state_of(new), state_of(old)
    if target.base != source.base:
        return target.base < source.base
    return any(target.patched.get(fact, 0) < revision for fact, revision in source.patched.items())


def _state(main: Payload) -> ItemState:
    """The state of an item without a predicted category: the older index's looks predicted it."""
    state = state_of(main)
    if prediction_in(state.facts) is None:
        return state
    return replace(state, facts={key: value for key, value in state.facts.items() if key not in CATEGORY_FIELDS})


def _item(main: Payload, ids: Sequence[str], points: Points) -> ItemEvents:
    """An item as its base event would give it; watches that were notified of it are not notified again."""
    state, fields = state_of(points[0]), {"tenant": main["tenant"], "item_id": main["item_id"]}
    fields |= {"revision": state.base, "source": points[0].get("source", "catalog")}
    body: ItemUpserted | ItemDeleted
    if state.live:
        current = {n: point for n, point in points.items() if point.get("base") == state.base}
        images = tuple(_image(current.get(n, {})) for n in range(max(current) + 1))
        body = ItemUpserted.model_validate(fields | {"images": images, "objects": points[0].get(OBJECTS)})
    else:
        body = ItemDeleted.model_validate(fields)
    change = ItemChange(Event(body), body, {}, state.digest)
    notified = strings_in(points[0], NOTIFIED_WATCHES)
    return ItemEvents(str(main["tenant"]), str(main["item_id"]), [change], ids, notified_watches=notified)


def _image(point: Payload) -> ImageRef:
    reference = point.get(IMAGE_REFERENCE)
    return IMAGE_REF_ADAPTER.validate_python(reference) if reference else UNAVAILABLE_IMAGE
