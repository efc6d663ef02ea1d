"""Item updates: the events of a batch about one item, merged with the state that the index holds of it.

All types are immutable: each step of a batch (read, merge, resolve, enrich) returns new updates.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from consumers.embedding.moderation import EVENT_LABELS_KEY, MODERATOR_LABELS_KEY, ModerationPolicy
from consumers.embedding.region_policy import RegionPolicy
from consumers.indexing.images import EmbeddedImage, ImageResolver, ImageResult, ImageStatus
from consumers.indexing.merge import ItemChange, MergeResult, Precedence, changes_by_item, merge
from consumers.points.payload import (
    DUPLICATE_GROUP,
    GIVEN,
    NOTIFIED_WATCHES,
    ItemState,
    prediction_in,
    prediction_payload,
    strings_in,
)
from consumers.points.stored_item import StoredState, read_states
from consumers.scoring.category_vote import CategoryVoter, UncategorisedItem
from infra.qdrant.contract import Index, Vector
from infra.qdrant.point_ids import is_region, numbered_id, point_ids
from schemas.envelope import Event
from schemas.failures import Failure, TryLater
from schemas.items import ItemDeleted, ItemUpserted, item_key
from schemas.outcomes import Duplicate
from schemas.results import Likely


@dataclass(frozen=True)
class ItemEvents:
    """The events of a batch about one item, and what earlier rounds of the batch have found out about them."""

    tenant: str
    item_id: str
    changes: Sequence[ItemChange]
    ids: Sequence[str]
    """The ids that the points of its pictures can have; the main point's is first."""
    failures: Mapping[str, Failure] = field(default_factory=dict)
    """Failures of events whose pictures have failed, by event id; the state ignores these events."""
    notified_watches: tuple[str, ...] = ()
    """The marks of the watches that have been notified of the item."""
    lost_races: int = 0
    """How often another writer wrote the item between reading and writing."""

    @property
    def key(self) -> str:
        """Tenant and item id as one string."""
        return item_key(self.tenant, self.item_id)

    def point_id(self, number: int) -> str:
        """The id of the point with this number: a picture, or a region of one."""
        return numbered_id(self.tenant, self.item_id, number) if is_region(number) else self.ids[number]

    def may_have_regions(self, policy: RegionPolicy) -> bool:
        """Whether the index may have regions of it of which no picture says so.

        After a broken write of an upsert with regions there are. The events of that write are handled again; if
        they become dead letters, a delete still finds the regions.
        """
        bodies = [change.body for change in self.changes]
        return any(
            isinstance(body, ItemDeleted) or (isinstance(body, ItemUpserted) and policy.method(body) != "")
            for body in bodies
        )


@dataclass(frozen=True, eq=False)
class ItemUpdate:
    """One item of a batch: its events, its stored state, and the state that results from both."""

    item: ItemEvents
    stored: StoredState
    merged: MergeResult
    group: str
    """Id of its duplicate group."""
    images: Sequence[ImageResult] = ()
    """The pictures of the upsert on which the state is based, if that upsert is among the events."""
    region_method: str = ""
    """How the regions of these pictures are found; empty if they have none."""
    duplicate: Duplicate | None = None
    """The item that its new main picture duplicates."""

    @property
    def state(self) -> ItemState:
        """The state of the item after its events."""
        return self.merged.state

    @property
    def outcomes(self) -> dict[str, Precedence | Failure]:
        """The outcome of each event, by its id."""
        return {**self.merged.outcomes, **self.item.failures}

    @property
    def is_ready(self) -> bool:
        """Whether the item can be written now; it cannot while a picture that it needs is pending."""
        return ImageStatus.PENDING not in self.images

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

    def with_category(self, likely: Likely | None) -> "ItemUpdate":
        """The update with the predicted category, if there is one, among its facts."""
        if likely is None:
            return self
        facts = {**self.state.facts, **prediction_payload(likely)}
        return replace(self, merged=replace(self.merged, state=replace(self.state, facts=facts)))

    def with_duplicate(self, duplicate: Duplicate | None, group: str) -> "ItemUpdate":
        """The update with the item that its main picture duplicates; a merely similar one does not join a group."""
        joins = duplicate is not None and duplicate.verdict != "similar"
        return replace(self, duplicate=duplicate, group=group if joins else self.item.item_id)

    def with_notified(self, marks: Iterable[str]) -> "ItemUpdate":
        """The update with more watches that have been notified of its item."""
        notified = tuple(sorted({*self.item.notified_watches, *marks}))
        return replace(self, item=replace(self.item, notified_watches=notified))


def items_of(events: Iterable[Event]) -> list[ItemEvents]:
    """The items of a batch, each with its events."""
    return [
        ItemEvents(body.tenant, body.item_id, changes, point_ids(body.tenant, body.item_id))
        for changes in changes_by_item(events).values()
        for body in (changes[0].body,)
    ]


def read(index: Index, items: Sequence[ItemEvents], policy: RegionPolicy) -> list[StoredState]:
    """The stored states of items. Raises Unavailable."""
    return read_states(index, items, [item.may_have_regions(policy) for item in items])


def merge_item(item: ItemEvents, stored: StoredState, policy: ModerationPolicy) -> ItemUpdate:
    """Apply the events of an item, without those that have failed, to its stored state."""
    changes = [change for change in item.changes if change.id not in item.failures]
    group = str(stored.main.get(DUPLICATE_GROUP) or item.item_id)
    update = ItemUpdate(item, stored, merge(stored.state, changes, policy), group)
    return update.with_notified(strings_in(stored.main, NOTIFIED_WATCHES))


def add_images(update: ItemUpdate, images: ImageResolver, policy: ModerationPolicy) -> ItemUpdate:
    """Add the results of the pictures that the update needs.

    An upsert whose pictures have failed becomes a failure of the item, and the events are merged again without it.
    """
    while (base := update.merged.base_change) is not None:
        method, results = images.region_method(base), images.results(base, update.stored.points)
        update = replace(update, images=results, region_method=method)
        if (failure := _image_failure(update.images)) is None:
            return _block(update, policy, base.body.revision) if update.is_ready else update
        failures = {**update.item.failures, base.id: failure}
        update = merge_item(replace(update.item, failures=failures), update.stored, policy)
    return update


def add_categories(index: Index, updates: Sequence[ItemUpdate], voter: CategoryVoter) -> list[ItemUpdate]:
    """Predict the categories of the items that need one, from their main pictures. Raises Unavailable.

    While the main picture is unchanged, its earlier prediction stays, also if there was no clear one. If the
    category had been given by an event until now, the prediction uses the look in the index.
    """
    uncategorised = [update for update in updates if update.needs_category]
    unchanged = [update for update in uncategorised if update.new_main_image is None]
    formerly_given = [update for update in unchanged if update.stored.state.facts.get("category_source") == GIVEN]
    predictions = {update: prediction_in(update.stored.state.facts) for update in unchanged}
    ids = [update.item.ids[0] for update in formerly_given]
    vectors = index.vectors(ids) if ids else {}
    predictable = [update for update in uncategorised if update.new_main_image or update.item.ids[0] in vectors]
    votes = voter.predict([_uncategorised(update, vectors) for update in predictable])
    predictions |= {update: vote for update, vote in zip(predictable, votes, strict=True) if vote is not None}
    return [update.with_category(predictions.get(update)) for update in updates]


def _uncategorised(update: ItemUpdate, vectors: Mapping[str, Vector]) -> UncategorisedItem:
    item = update.item
    if main := update.new_main_image:
        return UncategorisedItem(item.tenant, item.item_id, main.look.vector, main.look.studio)
    studio = update.stored.points[0].get("studio") == "true"
    return UncategorisedItem(item.tenant, item.item_id, vectors[item.ids[0]], studio)


def _block(update: ItemUpdate, policy: ModerationPolicy, revision: int) -> ItemUpdate:
    """Block the item if it or its pictures have blocking labels; stored labels may be older than the policy."""
    labels = set(strings_in(update.state.facts, EVENT_LABELS_KEY))
    for n, image in enumerate(update.images):
        unchanged = image is ImageStatus.UNCHANGED
        stored = strings_in(update.stored.points.get(n, {}), MODERATOR_LABELS_KEY) if unchanged else ()
        labels.update(image.look.labels if isinstance(image, EmbeddedImage) else stored)
    blocked = policy.blocked_labels(labels)
    if not blocked:
        return update
    merged = replace(update.merged, state=update.state.block(blocked, revision), base_change=None)
    return replace(update, merged=merged, images=())


def _image_failure(images: Sequence[ImageResult]) -> Failure | None:
    """Why an upsert cannot be indexed: its main picture has failed, or another may succeed later."""
    failures = (
        image
        for n, image in enumerate(images)
        if isinstance(image, TryLater) or (n == 0 and isinstance(image, Failure))
    )
    return next(failures, None)
