"""Refill: what an older index holds, looked at again for a new one, between the batches of the new one's worker.

Events that the topics still hold come by themselves: the worker of a new index reads the topics from their start.
What they do not hold any more is filled in from the older index: its facts as they are, its pictures from where
they can be had again. It goes through the older index by id. The first pass fills in whatever is missing; in later
ones an item may be missing only because its event is on its way, so what one pass finds the next one fills in, if
it is still the same. It is done when a pass finds nothing of that kind. How far it has come is a note in the new
index, so that it can be killed at any moment.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import structlog
from pydantic import TypeAdapter

from consumers.embedding.moderation import ModerationPolicy
from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.images import ImageResolver
from consumers.indexing.item_update import ItemUpdate
from consumers.indexing.merge import ItemChange
from consumers.points.payload import CATEGORY_FIELDS, KNOWN_KEYS, TOLD, ItemState, marks, prediction_in, state_of
from infra.qdrant.contract import Index, Payload
from infra.qdrant.point_ids import point_ids
from schemas.envelope import Event
from schemas.items import FileImage, ImageRef, ItemDeleted, ItemUpserted, item_key

NOTE = "refill"
PAGE = 16
"""Points of the older index that are looked through at a time."""
STEP_SECONDS = 0.25
"""Live events wait for a step; one that comes to a page of pictures takes as long as those do."""
MOST_NAMED = 100
"""Items that could not be filled in and are named; all of them are counted."""
FRUITLESS = 3
"""How often what is missing is asked for: hosts are away now and then."""
GRACE_SECONDS = 5.0
"""How long an event may be on its way to the new index when the older one has it."""
GONE = FileImage(root="gone", path="gone")
"""Stands for a picture that came in its event and cannot be had again, or that was left out."""

REF: TypeAdapter[ImageRef] = TypeAdapter(ImageRef)

Points = Mapping[int, Payload]
"""The payloads of an item's points, by picture."""


@dataclass(frozen=True)
class BackfillProgress:
    """How far a refill has come."""

    passed: int = 0
    """Whole passes through the older index."""
    after: str | None = None
    """The id up to which this pass has come."""
    seen: int = 0
    """Points that this pass has come by."""
    filled: int = 0
    """Items that were filled in, in all passes."""
    in_pass: int = 0
    """Those of this pass."""
    missing: int = 0
    """Items of this pass whose main picture cannot be had again."""
    named: tuple[str, ...] = ()
    """Some of those, as tenant:item_id."""
    fruitless: int = 0
    """Passes in a row that have filled in nothing, though something was missing."""
    done: bool = False
    """Whether the last whole pass has found nothing that could be filled in, or FRUITLESS in a row have not."""

    def further(self, seen: int, filled: int, missing: Sequence[str]) -> "BackfillProgress":
        """After some more items."""
        return replace(
            self,
            seen=self.seen + seen,
            filled=self.filled + filled,
            in_pass=self.in_pass + filled,
            missing=self.missing + len(missing),
            named=(*self.named, *missing)[:MOST_NAMED],
        )

    def at_end(self, *, sure: bool) -> "BackfillProgress":
        """After the last page: another pass begins unless it is sure that there is nothing to fill in."""
        fruitless = self.fruitless + 1 if self.missing and not self.in_pass else 0
        if self.in_pass or not sure or (self.missing and fruitless < FRUITLESS):
            return BackfillProgress(passed=self.passed + 1, filled=self.filled, fruitless=fruitless)
        return replace(self, passed=self.passed + 1, after=None, done=True)


PROGRESS = TypeAdapter(BackfillProgress)


def backfill_items(index: Index) -> None:
    """Have the refill of this index begin anew, if it is done. Raises Unavailable."""
    if progress_in(index).done:
        index.take_note(NOTE, _noted(BackfillProgress()))


def progress_in(index: Index) -> BackfillProgress:
    """How far the refill of this index has come, by its note. Raises Unavailable."""
    note = index.notes([NOTE]).get(NOTE)
    return PROGRESS.validate_python(dict(note)) if note else BackfillProgress()


@dataclass(eq=False)
class Backfill:
    """Fills the index of `items` from `source`. For one thread."""

    source: Index
    target: Index
    sight: ImagePipeline
    items: ItemIndexer
    clock: Callable[[], float] = time.monotonic
    _progress: BackfillProgress | None = field(default=None, init=False)
    _behind_before: dict[str, Payload] = field(default_factory=dict, init=False)
    """What the pass before has left as it was, with its marks."""
    _behind_now: dict[str, Payload] = field(default_factory=dict, init=False)
    _whole: bool = field(default=False, init=False)
    """Whether this pass was begun by this very process, which forgets what it has left when it is killed."""
    _compared: bool = field(default=False, init=False)
    """Whether the pass before was whole, and has left what may come by itself."""
    _not_before: float = field(default=float("-inf"), init=False)
    """There is nothing to look for until then."""

    def step(self) -> None:
        """A page, and more as long as they go quickly; nothing once it is done. Raises Unavailable."""
        began = self.clock()
        if began < self._not_before:
            return
        if self._progress is None or self._progress.done:  # done, unless somebody has it begin anew
            self._progress, self._not_before = progress_in(self.target), began + GRACE_SECONDS
        while not self._progress.done:
            self._progress = self._turn_page(self._progress)
            self.target.take_note(NOTE, _noted(self._progress))
            now = self.clock()
            if now - began >= STEP_SECONDS or now < self._not_before:
                break

    def _turn_page(self, progress: BackfillProgress) -> BackfillProgress:
        self._whole = self._whole or progress.after is None
        points, after = self.source.page(progress.after, PAGE)
        entries = self._behind([point.payload for point in points if point.payload.get("n") == 0])
        if progress.passed:
            entries = [entry for entry in entries if not self._is_on_its_way(entry)]
        said = {_key(entry): _marks(entry) for entry in entries}
        pictures = ImageResolver(self.sight, self.target)
        pictures.see([(base, entry.known.points) for entry in entries if (base := entry.folded.base) is not None])
        ready = [entry for entry in entries if entry.is_ready(pictures) and not entry.failed]
        if ready:
            self.items.write(ready)
        missing = [_key(entry) for entry in entries if entry.failed]
        self._behind_now |= {key: said[key] for key in missing}
        progress = progress.further(len(points), len(ready), missing)
        if after is not None:
            return replace(progress, after=after)
        structlog.get_logger().info(
            "refilled", points=progress.seen, filled=progress.in_pass, missing=progress.missing
        )
        return self._at_end(progress)

    def _at_end(self, progress: BackfillProgress) -> BackfillProgress:
        nothing_left = self._whole and not self._behind_now
        sure = progress.passed == 0 or self._compared or nothing_left
        self._compared = self._whole and progress.passed > 0
        self._behind_before, self._behind_now = self._behind_now, {}
        if self._behind_before:
            self._not_before = self.clock() + GRACE_SECONDS
        return progress.at_end(sure=sure)

    def _is_on_its_way(self, entry: ItemUpdate) -> bool:
        """Whether the event that is missing may come by itself: it was not missing in the pass before."""
        if self._behind_before.get(_key(entry)) == _marks(entry):
            return False
        self._behind_now[_key(entry)] = _marks(entry)
        return True

    def _behind(self, mains: Sequence[Payload]) -> list[ItemUpdate]:
        """Entries for the items of these main points of which the older index knows more."""
        items = [(main, point_ids(str(main["tenant"]), str(main["item_id"]))) for main in mains]
        every = [id for _, ids in items for id in ids]
        old, new = self.source.payloads(every, KNOWN_KEYS), self.target.payloads(every, KNOWN_KEYS)
        entries = []
        for main, ids in items:
            points = {n: old[id] for n, id in enumerate(ids) if id in old}
            if 0 in points and _is_behind(new.get(ids[0], {}), points[0]):
                entries.append(_entry(main, ids, points, self.sight.policy))
                entries[-1].learn(new)
                entries[-1].folded = replace(entries[-1].folded, state=_state(points[0]))
        return entries


def _key(entry: ItemUpdate) -> str:
    return item_key(entry.tenant, entry.item_id)


def _marks(entry: ItemUpdate) -> Payload:
    """Which events the older index's state of an item comes from."""
    return marks(entry.state.payload())


def _noted(progress: BackfillProgress) -> Payload:
    return asdict(progress) | {"named": list(progress.named)}


def _is_behind(ours: Payload, theirs: Payload) -> bool:
    """Whether an older index knows of newer events of an item."""
    here, there = state_of(ours), state_of(theirs)
    if here.base != there.base:
        return here.base < there.base
    return any(here.patched.get(fact, 0) < revision for fact, revision in there.patched.items())


def _state(main: Payload) -> ItemState:
    """What counts of an item, but for what the older index has found out by the looks of others."""
    state = state_of(main)
    if prediction_in(state.facts) is None:
        return state
    return replace(state, facts={key: value for key, value in state.facts.items() if key not in CATEGORY_FIELDS})


def _entry(main: Payload, ids: Sequence[str], points: Points, policy: ModerationPolicy) -> ItemUpdate:
    """An item as the event that it rests on would have it; standing searches that know of it are not told again."""
    state, about = state_of(points[0]), {"tenant": main["tenant"], "item_id": main["item_id"]}
    about |= {"revision": state.base, "source": points[0].get("source", "catalog")}
    body: ItemUpserted | ItemDeleted
    if state.live:
        there = {n: point for n, point in points.items() if point.get("base") == state.base}
        images = tuple(_image(there.get(n, {})) for n in range(max(there) + 1))
        body = ItemUpserted.model_validate(about | {"images": images})
    else:
        body = ItemDeleted.model_validate(about)
    told = points[0].get(TOLD)
    event = ItemChange(Event(body), body, {}, state.digest)
    marks = tuple(map(str, told)) if isinstance(told, list) else ()
    return ItemUpdate(str(main["tenant"]), str(main["item_id"]), [event], ids, policy, told=marks)


def _image(point: Payload) -> ImageRef:
    return REF.validate_python(point["image"]) if point.get("image") else GONE
