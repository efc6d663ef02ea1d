"""Entries: what a batch says of one item, folded onto what the index knows of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from consumers.embedding.moderation import OPEN, SEEN_LABELS, TOLD_LABELS, ModerationPolicy
from consumers.indexing.images import EmbeddedImage, ImageResolver, ImageStatus, Picture, Points
from consumers.indexing.merge import ItemChange, MergeResult, Precedence, merge
from consumers.points.payload import DUPLICATE_GROUP, TOLD, ItemState, predicted, state_of, whole, words_in
from infra.qdrant.contract import Payload
from infra.qdrant.point_ids import point_ids
from schemas.failures import Failure, TryLater
from schemas.outcomes import Duplicate
from schemas.results import Likely


@dataclass(frozen=True)
class StoredState:
    """What the index holds of an item. The main point decides; the others follow it."""

    points: Points = field(default_factory=dict)

    @property
    def state(self) -> ItemState:
        """What counts of the item."""
        return state_of(self.points.get(0, {}))

    @property
    def version(self) -> int:
        """The newest version of any of its points; 0 when there are none."""
        return max((whole(point.get("version", 0)) for point in self.points.values()), default=0)


@dataclass(eq=False)
class ItemUpdate:
    """One item of a batch, on its way into the index."""

    tenant: str
    item_id: str
    events: Sequence[ItemChange]
    ids: Sequence[str]
    """The ids that its points can have, the main one's first."""
    policy: ModerationPolicy = OPEN
    """What its labels mean."""
    known: StoredState = field(default_factory=StoredState)
    folded: MergeResult = field(default_factory=lambda: MergeResult(ItemState(), None, {}))
    pictures: Sequence[Picture] = ()
    """Those of the upsert that the state rests on, if it is among the events."""
    failed: dict[str, Failure] = field(default_factory=dict)
    """Events whose pictures have failed: the others count as if these had never come."""
    group: str = ""
    """The duplicates that it belongs to."""
    duplicate: Duplicate | None = None
    """What its new main picture duplicates."""
    told: tuple[str, ...] = ()
    """The marks of the standing searches that know of it."""
    lost: int = 0
    """How often somebody else wrote the item between reading and writing."""

    @property
    def state(self) -> ItemState:
        """What the item comes to."""
        return self.folded.state

    @property
    def verdicts(self) -> dict[str, Precedence | Failure]:
        """What becomes of each event."""
        return {**self.folded.verdicts, **self.failed}

    def learn(self, stored: Mapping[str, Payload]) -> None:
        """Fold the events onto what the index holds, by point id."""
        self.known = StoredState({n: stored[id] for n, id in enumerate(self.ids) if id in stored})
        main = self.known.points.get(0, {})
        self.group, self.duplicate = str(main.get(DUPLICATE_GROUP) or self.item_id), None
        told = main.get(TOLD)
        self.told = tuple(sorted({*self.told, *(told if isinstance(told, list) else ())}))
        self._fold()

    def is_ready(self, pictures: ImageResolver) -> bool:
        """Whether all is there to write it; upserts that cannot be indexed leave it here."""
        while (base := self.folded.base) is not None:
            self.pictures = pictures.of(base, self.known.points)
            failure = self._failure()
            if failure is None and ImageStatus.UNSEEN in self.pictures:
                return False
            if failure is None:
                self._bar(base.body.revision)
                return True
            self.failed[base.id] = failure
            self._fold()
        return True

    @property
    def is_unnamed(self) -> bool:
        """Whether a new upsert counts that names no category, nor does a patch."""
        new = self.state.live and self.state.base != self.known.state.base
        return new and "category" not in self.state.patched and "category" not in self.state.facts

    @property
    def looked_main(self) -> EmbeddedImage | None:
        """The main picture, if it was looked at."""
        main = self.pictures[0] if self.pictures else None
        return main if isinstance(main, EmbeddedImage) else None

    def resemble(self, duplicate: Duplicate | None, group: str) -> None:
        """Take note of what its new main picture duplicates; what is similar alone stays in a group of its own."""
        joins = duplicate is not None and duplicate.verdict != "similar"
        self.duplicate, self.group = duplicate, group if joins else self.item_id

    def name(self, likely: Likely | None) -> None:
        """Give it the category that was predicted, if any."""
        if likely is not None:
            facts = {**self.state.facts, **predicted(likely)}
            self.folded = replace(self.folded, state=replace(self.state, facts=facts))

    def _fold(self) -> None:
        told = [told for told in self.events if told.id not in self.failed]
        self.folded, self.pictures = merge(self.known.state, told, self.policy), ()

    def _bar(self, revision: int) -> None:
        """Block it for what its pictures show, or for what an index that is older than the policy knows of it."""
        seen = set(words_in(self.state.facts, TOLD_LABELS))
        for n, picture in enumerate(self.pictures):
            known = words_in(self.known.points.get(n, {}), SEEN_LABELS) if picture is ImageStatus.KEPT else ()
            seen.update(picture.look.labels if isinstance(picture, EmbeddedImage) else known)
        if labels := self.policy.blocking(seen):
            self.folded = replace(self.folded, state=self.state.barred(labels, revision), base=None)
            self.pictures = ()

    def _failure(self) -> Failure | None:
        """Why the upsert cannot be indexed: for its main picture, or for one that may come later."""
        bad = (
            picture
            for n, picture in enumerate(self.pictures)
            if isinstance(picture, TryLater) or (n == 0 and isinstance(picture, Failure))
        )
        return next(bad, None)


def updates_of(items: Mapping[str, list[ItemChange]], policy: ModerationPolicy) -> list[ItemUpdate]:
    """An entry for each item that events tell of."""
    bodies = [(told[0].body, told) for told in items.values()]
    return [
        ItemUpdate(body.tenant, body.item_id, told, point_ids(body.tenant, body.item_id), policy)
        for body, told in bodies
    ]
