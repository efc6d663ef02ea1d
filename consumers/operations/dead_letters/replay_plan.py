"""Replay plan: decides which dead letters may be replayed, and gives the reason for each of the others."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from consumers.indexing.handler import TOMBSTONE_DAYS
from consumers.operations.dead_letters.dead_letter import DeadLetter
from consumers.operations.dead_letters.selection import Selection
from consumers.points.payload import state_of
from infra.qdrant.contract import Index
from infra.qdrant.point_ids import point_id
from schemas.envelope import from_record
from schemas.failures import Code, Rejected
from schemas.items import ItemEvent
from schemas.topics import ITEM_TOPICS

MARGIN = timedelta(hours=1)
"""Safety margin for the time until the worker handles a replayed record: tombstones must not expire before."""
LOOKUP_BATCH = 256

SEARCH_REQUEST = "a search request, whose sender no longer waits: search again"
OTHER_TOPIC = f"of none of the topics {', '.join(ITEM_TOPICS)}"
TRUNCATED = "was cut, because it did not fit: have its sender send it again"
TOO_OLD = (
    f"first failed {TOMBSTONE_DAYS} days ago or earlier: it could bring back an item that was deleted since, "
    "because tombstones are kept no longer: have its sender send it again"
)
REPLAYED = "replayed before: --again does it once more"
SUPERSEDED = "older than the state of its item in the index"
CONFLICT = "would be refused again: the index has another event of its revision; send it with one of its own"


@dataclass(frozen=True)
class ReplayTarget:
    """The item and revision that a letter would write."""

    point: str
    """Id of the item's main point."""
    revision: int


@dataclass(frozen=True)
class SkippedLetter:
    """A letter that must not be replayed, and the reason."""

    letter: DeadLetter
    reason: str


@dataclass
class ReplayPlan:
    """Letters to send and to skip; all are without values."""

    send: dict[str, DeadLetter] = field(default_factory=dict)
    """Letters to send, by id, oldest first."""
    skipped: list[SkippedLetter] = field(default_factory=list)
    left: int = 0
    """Number of letters beyond the limit."""

    def add(self, letter: DeadLetter, limit: int | None) -> None:
        """Add a letter to send, or count it if `limit` letters are planned already."""
        if limit is None or len(self.send) < limit:
            self.send[letter.id] = letter
        else:
            self.left += 1


class ReplayPlanner:
    """Plans a replay. `replayed` holds the ids of letters to skip; `index` gives the newest revision of each item.

    A superseded event must not be sent, even though the index would ignore it: the source topics are compacted to
    the last record of each key, so the old event would replace a newer one, and a rebuild would read the old one.
    """

    def __init__(self, selection: Selection, replayed: Collection[str], index: Index, now: datetime) -> None:
        self._selection = selection
        self._replayed = replayed
        self._index = index
        self._now = now

    def plan(self, letters: Iterable[DeadLetter]) -> ReplayPlan:
        """Plan the replay of the latest version of each letter; raises Unavailable if the index is unreachable."""
        plan, latest = ReplayPlan(), dict[str, tuple[DeadLetter, ReplayTarget | str]]()
        for letter in letters:
            if letter.id not in latest or letter.died_at_ms >= latest[letter.id][0].died_at_ms:
                latest[letter.id] = letter.without_value(), self._evaluate(letter)
        selected = self._selection.oldest(letter for letter, _ in latest.values())
        candidates: list[tuple[DeadLetter, ReplayTarget]] = []
        for letter in selected:
            outcome = latest[letter.id][1]
            if isinstance(outcome, ReplayTarget):
                candidates.append((letter, outcome))
            else:
                plan.skipped.append(SkippedLetter(letter, outcome))
        for letter in self._not_superseded(candidates, plan.skipped):
            plan.add(letter, self._selection.limit)
        return plan

    def _evaluate(self, letter: DeadLetter) -> ReplayTarget | str:
        """The target of a letter, or the reason why it cannot be replayed, regardless of the index."""
        if not self._selection.matches(letter):
            return ""  # not selected, so the reason is never shown
        if letter.topic not in ITEM_TOPICS:
            return SEARCH_REQUEST if letter.topic.startswith("search.") else OTHER_TOPIC
        if letter.id in self._replayed:
            return REPLAYED
        if letter.is_cut:
            return TRUNCATED
        if letter.known_since < self._now - timedelta(days=TOMBSTONE_DAYS) + MARGIN:
            return TOO_OLD
        return target_of(letter)

    def _not_superseded(
        self, candidates: Sequence[tuple[DeadLetter, ReplayTarget]], skipped: list[SkippedLetter]
    ) -> Iterator[DeadLetter]:
        """Yield the candidates of which the index has no newer revision; the others go to `skipped`."""
        for start in range(0, len(candidates), LOOKUP_BATCH):
            batch = candidates[start : start + LOOKUP_BATCH]
            payloads = self._index.payloads([target.point for _, target in batch], ["base"])
            for letter, target in batch:
                base = state_of(payloads.get(target.point, {})).base
                if target.revision < base:
                    skipped.append(SkippedLetter(letter, SUPERSEDED))
                elif target.revision == base and letter.code == Code.REVISION_CONFLICT:
                    skipped.append(SkippedLetter(letter, CONFLICT))
                else:
                    yield letter


def target_of(letter: DeadLetter) -> ReplayTarget | str:
    """The target of a letter, or the reason why a worker of this version would reject the letter."""
    # A replayed record has a new time; only a null value needs the original time, for its revision.
    time_ms = letter.timestamp_ms if letter.value is None else 0
    try:
        body = from_record(letter.position, letter.key, letter.value, letter.headers, time_ms).body
    except Rejected as rejection:
        return f"would be refused again: {rejection.message}"
    if not isinstance(body, ItemEvent):
        return f"would be refused again: {body.schema_} is no item event"
    return ReplayTarget(point_id(body.tenant, body.item_id, 0), body.revision)
