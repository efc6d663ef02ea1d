"""IndexItems: item events become points in the index."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from consumers.category import Categories, Unnamed
from consumers.clock import Clock
from consumers.coalesce import Merged, coalesce
from consumers.points import (
    CATEGORY_FIELDS,
    facts_payload,
    live_point,
    point_id,
    point_ids,
    tombstone,
    with_category,
)
from consumers.sight import Sight
from consumers.vision.look import Look
from consumers.worker import Sink
from infra.kafka import Record
from infra.qdrant.plan import Index, Point
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected, TryLater
from schemas.items import (
    ItemDeleted,
    ItemEvent,
    ItemPatched,
    ItemUpserted,
    item_key,
    split_item_key,
)
from schemas.outcomes import ItemIndexed, ItemRejected, ItemRemoved, SkippedImage, StepTimes
from schemas.searches import Likely
from schemas.topics import ITEM_OUTCOMES


@dataclass
class Written:
    """One item of a batch, on its way into the index."""

    merged: Merged
    item: ItemUpserted
    points: list[Point] = field(default_factory=list)
    main: Look | None = None
    skipped: list[SkippedImage] = field(default_factory=list)
    predicted: Likely | None = None


class IndexItems:
    """A job: `handle` puts item events into the index, newest revision first served."""

    def __init__(self, sight: Sight, index: Index, categories: Categories, sink: Sink) -> None:
        self._sight = sight
        self._index = index
        self._categories = categories
        self._sink = sink
        self._log = structlog.get_logger()

    def handle(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Index, patch or remove each item; the points can be found when this returns."""
        failures: dict[str, Failure] = {e.id: _not_an_item() for e in events if not isinstance(e.body, ItemEvent)}
        newest, known = self._fresh(coalesce(events), len(events))
        clock = Clock()
        upserts = self._look(
            [Written(m, m.item) for m in newest if isinstance(m.item, ItemUpserted)], failures, clock
        )
        self._name(upserts)
        deletes = [(m, m.item) for m in newest if isinstance(m.item, ItemDeleted)]
        patches = [(m, m.item) for m in newest if isinstance(m.item, ItemPatched)]
        self._remove_old_pictures(upserts, [item for _, item in deletes], known)
        now = datetime.now(UTC)
        self._index.upsert([p for w in upserts for p in w.points] + [tombstone(item, now) for _, item in deletes])
        patched = [merged for merged, patch in patches if self._patch(merged, patch, known, failures)]
        clock.written = clock.lap()
        self._report(upserts, [merged for merged, _ in deletes] + patched, clock)
        return failures

    def tell(self, record: Record, event: Event | None, failure: Failure) -> None:
        """Publish that an event was refused."""
        tenant, item_id = _owner(record)
        revision = event.body.revision if event and isinstance(event.body, ItemEvent) else None
        outcome = ItemRejected(
            tenant=tenant, item_id=item_id, revision=revision, code=failure.code, message=failure.message[:500]
        )
        self._sink.send(ITEM_OUTCOMES, f"{tenant}:{item_id}", Event(outcome))

    def _fresh(self, merged: Sequence[Merged], events: int) -> tuple[list[Merged], Mapping[str, int]]:
        """Those that are not older than what the index holds, and what it holds, by point id.

        An event of the same revision is done again: the worker may have died before it said so.
        """
        known = self._index.revisions([_main_point(m.item) for m in merged])
        fresh = [m for m in merged if m.item.revision >= known.get(_main_point(m.item), 0)]
        if len(fresh) < events:
            self._log.info("dropped", stale=len(merged) - len(fresh), superseded=events - len(merged))
        return fresh, known

    def _look(self, items: Sequence[Written], failures: dict[str, Failure], clock: Clock) -> list[Written]:
        """Fetch and look at every picture of the batch at once; items without a main picture fail."""
        clock.lap()
        places = [(written, n) for written in items for n in range(len(written.item.images))]
        fetched = self._sight.fetch([written.item.images[n] for written, n in places])
        clock.fetched = clock.lap()
        looks = iter(self._sight.look_at([picture for picture in fetched if isinstance(picture, bytes)]))
        clock.looked = clock.lap()
        for (written, n), picture in zip(places, fetched, strict=True):
            look = next(looks) if isinstance(picture, bytes) else picture
            if isinstance(look, Failure):
                _note(written, n, look, failures)
            elif isinstance(picture, bytes):
                written.main = look if n == 0 else written.main
                written.points.append(live_point(written.item, n, picture, look, self._sight.encoder))
        return [written for written in items if written.merged.event.id not in failures]

    def _name(self, upserts: Sequence[Written]) -> None:
        """Give items without a category the one that their main pictures clearly have."""
        unnamed = [written for written in upserts if written.item.category is None]
        looks = [_unnamed(written) for written in unnamed]
        for written, likely in zip(unnamed, self._categories.of(looks), strict=True):
            if likely is not None:
                written.predicted = likely
                written.points = [with_category(point, likely) for point in written.points]

    def _remove_old_pictures(
        self, upserts: Sequence[Written], deletes: Sequence[ItemDeleted], known: Mapping[str, int]
    ) -> None:
        """Pictures that an item had and has no more; before the write, so that a crash between repeats it."""
        kept: list[tuple[ItemUpserted | ItemDeleted, set[str]]] = [
            (written.item, {point.id for point in written.points}) for written in upserts
        ]
        kept += [(item, {_main_point(item)}) for item in deletes]
        for item, ids in kept:
            if _main_point(item) in known:
                surplus = [id for id in point_ids(item.tenant, item.item_id) if id not in ids]
                self._index.remove(surplus, item.revision)

    def _patch(
        self, merged: Merged, patch: ItemPatched, known: Mapping[str, int], failures: dict[str, Failure]
    ) -> bool:
        if _main_point(patch) not in known:
            text = f"item {patch.item_id} is not indexed, so it cannot be patched: send item.upserted/1 first"
            failures.update({id: Rejected(Code.ITEM_UNKNOWN, text) for id in merged.ids})
            return False
        said = set(patch.facts.model_fields_set)
        if "category" in said:
            said.update(CATEGORY_FIELDS)
        changes = {name: value for name, value in facts_payload(patch.facts).items() if name in said}
        self._index.patch(point_ids(patch.tenant, patch.item_id), {**changes, "revision": patch.revision})
        return True

    def _report(self, upserts: Sequence[Written], others: Sequence[Merged], clock: Clock) -> None:
        now = datetime.now(UTC)
        for written in upserts:
            about: dict[str, object] = {"images": len(written.points), "skipped": tuple(written.skipped)}
            about["category_predicted"] = written.predicted
            self._publish(ItemIndexed, written.merged, about | {"times": _times(written.merged, now, clock)})
        for merged in others:
            times = {"times": _times(merged, now, clock)}
            if isinstance(merged.item, ItemDeleted):
                self._publish(ItemRemoved, merged, times)
            else:
                self._publish(ItemIndexed, merged, times | {"images": 0})
        steps = {"fetched_ms": round(clock.fetched), "looked_ms": round(clock.looked)}
        pictures = sum(len(written.points) for written in upserts)
        self._log.info(
            "indexed", items=len(upserts) + len(others), pictures=pictures, written_ms=round(clock.written), **steps
        )

    def _publish(
        self, outcome: type[ItemIndexed] | type[ItemRemoved], merged: Merged, about: Mapping[str, object]
    ) -> None:
        item = merged.item
        identity = {
            "tenant": item.tenant,
            "item_id": item.item_id,
            "source": item.source,
            "revision": item.revision,
        }
        body = outcome.model_validate({**identity, **about})
        self._sink.send(ITEM_OUTCOMES, item_key(item.tenant, item.item_id), Event(body))


def _main_point(item: ItemEvent) -> str:
    return point_id(item.tenant, item.item_id, 0)


def _unnamed(written: Written) -> Unnamed:
    if written.main is None:
        raise ValueError("an item without its main picture has failed before it comes here")
    return Unnamed(written.item.tenant, written.item.item_id, written.main.vector, written.main.studio)


def _note(written: Written, image: int, failure: Failure, failures: dict[str, Failure]) -> None:
    """The main picture, or one that may come later, fails the item; any other is left out and reported."""
    if image == 0 or isinstance(failure, TryLater):
        for id in written.merged.ids:
            failures.setdefault(id, failure)
    else:
        written.skipped.append(SkippedImage(image=image, code=failure.code, message=failure.message[:500]))


def _times(merged: Merged, now: datetime, clock: Clock) -> StepTimes:
    steps = {"fetched": clock.fetched, "looked": clock.looked, "written": clock.written}
    return StepTimes(event_time=merged.event.time, searchable_at=now, **steps)


def _owner(record: Record) -> tuple[str | None, str | None]:
    try:
        return split_item_key((record.key or b"").decode("utf-8", "replace"))
    except ValueError:
        return None, None


def _not_an_item() -> Rejected:
    return Rejected(Code.EVENT_UNKNOWN, "an item topic takes item.upserted/1, item.patched/1 and item.deleted/1")
