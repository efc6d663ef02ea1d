"""Item updates: merge the events of a batch about one item with the state that the index holds of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from consumers.embedding.moderation import ALLOW_ALL, EVENT_LABELS_KEY, MODERATOR_LABELS_KEY, ModerationPolicy
from consumers.indexing.images import EmbeddedImage, ImageResolver, ImageResult, ImageStatus, Points
from consumers.indexing.merge import ItemChange, MergeResult, Precedence, merge
from consumers.points.payload import (
    DUPLICATE_GROUP,
    NOTIFIED_WATCHES,
    ItemState,
    as_int,
    prediction_payload,
    state_of,
    strings_in,
)
from infra.qdrant.contract import Payload
from infra.qdrant.point_ids import point_ids
from schemas.failures import Failure, TryLater
from schemas.outcomes import Duplicate
from schemas.results import Likely


@dataclass(frozen=True)
class StoredState:
    """An item as the index holds it. The main point is authoritative; the others follow it."""

    points: Points = field(default_factory=dict)

    @property
    def state(self) -> ItemState:
        """The state in the main point."""
        return state_of(self.points.get(0, {}))

    @property
    def version(self) -> int:
        """The highest version of its points; 0 if there are none."""
        return max((as_int(point.get("version", 0)) for point in self.points.values()), default=0)


@dataclass(eq=False)
class ItemUpdate:
    """One item of a batch, from its events to what is written to the index."""

    tenant: str
    item_id: str
    changes: Sequence[ItemChange]
    ids: Sequence[str]
    """The ids that its points can have; the main point's is first."""
    policy: ModerationPolicy = ALLOW_ALL
    """Decides which labels block the item."""
    stored: StoredState = field(default_factory=StoredState)
    merged: MergeResult = field(default_factory=lambda: MergeResult(ItemState(), None, {}))
    images: Sequence[ImageResult] = ()
    """The pictures of the upsert on which the state is based, if that upsert is among the events."""
    failures: dict[str, Failure] = field(default_factory=dict)
    """Failures of events whose pictures have failed, by event id; the state ignores these events."""
    group: str = ""
    """Id of its duplicate group."""
    duplicate: Duplicate | None = None
    """The item that its new main picture duplicates."""
    notified_watches: tuple[str, ...] = ()
    """The marks of the watches that have been notified of the item."""
    lost_races: int = 0
    """How often another writer wrote the item between reading and writing."""

    @property
    def state(self) -> ItemState:
        """The state of the item after its events."""
        return self.merged.state

    @property
    def outcomes(self) -> dict[str, Precedence | Failure]:
        """The outcome of each event, by its id."""
        return {**self.merged.outcomes, **self.failures}

    def load(self, stored: Mapping[str, Payload]) -> None:
        """Take the item's points from `stored` (payloads by point id), and apply the events to them."""
        self.stored = StoredState({n: stored[id] for n, id in enumerate(self.ids) if id in stored})
        main = self.stored.points.get(0, {})
        self.group, self.duplicate = str(main.get(DUPLICATE_GROUP) or self.item_id), None
        notified = main.get(NOTIFIED_WATCHES)
        stored_marks = notified if isinstance(notified, list) else ()
        self.add_notified_watches(stored_marks)
        self._merge()

    def prepare_write(self, images: ImageResolver) -> bool:
        """Whether the item can be written now; it cannot while a picture that it needs is pending.

        Upserts whose pictures have failed are moved to `failures`, and the state is merged again without them.
        """
        while (base := self.merged.base_change) is not None:
            self.images = images.results(base, self.stored.points)
            failure = self._failure()
            if failure is None and ImageStatus.PENDING in self.images:
                return False
            if failure is None:
                self._block_if_needed(base.body.revision)
                return True
            self.failures[base.id] = failure
            self._merge()
        return True

    @property
    def needs_category(self) -> bool:
        """Whether a new upsert is in effect, and neither it nor a patch gives a category."""
        new = self.state.live and self.state.base != self.stored.state.base
        return new and "category" not in self.state.patched and "category" not in self.state.facts

    @property
    def new_main_image(self) -> EmbeddedImage | None:
        """The main picture, if it was embedded in this batch."""
        main = self.images[0] if self.images else None
        return main if isinstance(main, EmbeddedImage) else None

    def add_notified_watches(self, marks: Iterable[str]) -> None:
        """Add the marks of watches that have been notified of the item."""
        self.notified_watches = tuple(sorted({*self.notified_watches, *marks}))

    def count_lost_race(self) -> None:
        """Count that another writer has written the item between reading and writing."""
        self.lost_races += 1

    def set_state(self, state: ItemState) -> None:
        """Replace the state of the item."""
        self.merged = replace(self.merged, state=state)

    def set_duplicate(self, duplicate: Duplicate | None, group: str) -> None:
        """Set the item that its new main picture duplicates; a merely similar one does not join the group."""
        joins = duplicate is not None and duplicate.verdict != "similar"
        self.duplicate, self.group = duplicate, group if joins else self.item_id

    def set_category(self, likely: Likely | None) -> None:
        """Add the predicted category, if there is one, to the facts."""
        if likely is not None:
            facts = {**self.state.facts, **prediction_payload(likely)}
            self.set_state(replace(self.state, facts=facts))

    def _merge(self) -> None:
        changes = [change for change in self.changes if change.id not in self.failures]
        self.merged, self.images = merge(self.stored.state, changes, self.policy), ()

    def _block_if_needed(self, revision: int) -> None:
        """Block the item if it or its pictures have blocking labels; stored labels may be older than the policy."""
        labels = set(strings_in(self.state.facts, EVENT_LABELS_KEY))
        for n, image in enumerate(self.images):
            unchanged = image is ImageStatus.UNCHANGED
            stored = strings_in(self.stored.points.get(n, {}), MODERATOR_LABELS_KEY) if unchanged else ()
            labels.update(image.look.labels if isinstance(image, EmbeddedImage) else stored)
        if blocking := self.policy.blocked_labels(labels):
            state = self.state.block(blocking, revision)
            self.merged = replace(self.merged, state=state, base_change=None)
            self.images = ()

    def _failure(self) -> Failure | None:
        """Why the upsert cannot be indexed: its main picture has failed, or another may succeed later."""
        failures = (
            image
            for n, image in enumerate(self.images)
            if isinstance(image, TryLater) or (n == 0 and isinstance(image, Failure))
        )
        return next(failures, None)


def updates_of(items: Mapping[str, list[ItemChange]], policy: ModerationPolicy) -> list[ItemUpdate]:
    """One update for each item that has events."""
    bodies = [(changes[0].body, changes) for changes in items.values()]
    return [
        ItemUpdate(body.tenant, body.item_id, changes, point_ids(body.tenant, body.item_id), policy)
        for body, changes in bodies
    ]
