"""Which dead letters may be replayed, and why the others may not."""

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
"""How long a replayed record may wait for its worker without outliving the memory of a deleted item."""
LOOKED_UP_AT_ONCE = 256

ASKER_GONE = "a search request, and whoever asked is gone: ask again"
ELSEWHERE = f"of none of the topics {', '.join(ITEM_TOPICS)}"
CUT = "was cut, because it did not fit: have its sender send it again"
TOO_OLD = (
    f"first failed {TOMBSTONE_DAYS} days ago or earlier: if its item was deleted since, nothing remembers that, so "
    "it would come back: have it sent anew"
)
REPLAYED = "replayed before: --again does it once more"
SUPERSEDED = "older than what the index has of its item"
CONFLICT = "would be refused again: the index has another event of its revision; send it with one of its own"


@dataclass(frozen=True)
class ReplayTarget:
    """What a letter would change."""

    point: str
    """Id of the item's main point."""
    revision: int


@dataclass(frozen=True)
class SkippedLetter:
    """A letter that may not be replayed, and why."""

    letter: DeadLetter
    why: str


@dataclass
class ReplayPlan:
    """What a replay is to do; all letters in it are light."""

    send: dict[str, DeadLetter] = field(default_factory=dict)
    """By id, the oldest first."""
    skipped: list[SkippedLetter] = field(default_factory=list)
    left: int = 0
    """Letters beyond the limit."""


class ReplayPlanner:
    """Judges letters. `replayed` are ids of those that need not be sent again; `index` knows what is newer.

    What is newer matters beyond the index: the source topics keep the last record of each key alone, so that an old
    event which is sent there again would take the place of a newer one, and be what a rebuild finds.
    """

    def __init__(self, choice: Selection, replayed: Collection[str], index: Index, now: datetime) -> None:
        self._choice = choice
        self._replayed = replayed
        self._index = index
        self._now = now

    def plan(self, letters: Iterable[DeadLetter]) -> ReplayPlan:
        """What to do with letters, each as it was written last; raises Unavailable when the index is away."""
        plan, found = ReplayPlan(), dict[str, tuple[DeadLetter, ReplayTarget | str]]()
        for letter in letters:
            if letter.id not in found or letter.died_at_ms >= found[letter.id][0].died_at_ms:
                found[letter.id] = letter.light(), self._aim(letter)
        chosen = self._choice.oldest(letter for letter, _ in found.values())
        hopeful: list[tuple[DeadLetter, ReplayTarget]] = []
        for letter in chosen:
            aim = found[letter.id][1]
            if isinstance(aim, ReplayTarget):
                hopeful.append((letter, aim))
            else:
                plan.skipped.append(SkippedLetter(letter, aim))
        for letter in self._current(hopeful, plan.skipped):
            if self._choice.limit is None or len(plan.send) < self._choice.limit:
                plan.send[letter.id] = letter
            else:
                plan.left += 1
        return plan

    def _aim(self, letter: DeadLetter) -> ReplayTarget | str:
        """What a letter would change, or why it cannot be replayed whatever the index holds."""
        if not self._choice.takes(letter):
            return ""  # nobody asks
        if letter.topic not in ITEM_TOPICS:
            return ASKER_GONE if letter.topic.startswith("search.") else ELSEWHERE
        if letter.id in self._replayed:
            return REPLAYED
        if letter.is_cut:
            return CUT
        if letter.known_since < self._now - timedelta(days=TOMBSTONE_DAYS) + MARGIN:
            return TOO_OLD
        return target_of(letter)

    def _current(
        self, hopeful: Sequence[tuple[DeadLetter, ReplayTarget]], skipped: list[SkippedLetter]
    ) -> Iterator[DeadLetter]:
        """Those whose items the index has nothing newer of; the others go to `skipped`."""
        for start in range(0, len(hopeful), LOOKED_UP_AT_ONCE):
            some = hopeful[start : start + LOOKED_UP_AT_ONCE]
            held = self._index.payloads([aim.point for _, aim in some], ["base"])
            for letter, aim in some:
                base = state_of(held.get(aim.point, {})).base
                if aim.revision < base:
                    skipped.append(SkippedLetter(letter, SUPERSEDED))
                elif aim.revision == base and letter.code == Code.REVISION_CONFLICT:
                    skipped.append(SkippedLetter(letter, CONFLICT))
                else:
                    yield letter


def target_of(letter: DeadLetter) -> ReplayTarget | str:
    """What a letter would change, or in a sentence why the worker of this version would refuse it at once."""
    # A replay is a record of its own time; what deletes by a null value says when in that time.
    time_ms = letter.timestamp_ms if letter.value is None else 0
    try:
        body = from_record(letter.position, letter.key, letter.value, letter.headers, time_ms).body
    except Rejected as refused:
        return f"would be refused again: {refused.message}"
    if not isinstance(body, ItemEvent):
        return f"would be refused again: {body.schema_} is no item event"
    return ReplayTarget(point_id(body.tenant, body.item_id, 0), body.revision)
