"""Duplicates: items of a tenant whose main pictures are the same, or nearly.

exact      the same bytes
near       the same picture, resized, recompressed, framed or marked: its perceptual hash and its look agree
similar    another picture that looks much the same; it is told, but makes no group

Items that are exact or near duplicates are of one group, which bears the id of the item that was there first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from consumers.curves import Parts
from consumers.entries import Entry
from consumers.pictures import Looked
from consumers.points import DUPLICATE_GROUP
from consumers.vision.perceptual import bits_apart, hash_in
from infra.qdrant.conditions import MAIN_PICTURE
from infra.qdrant.plan import Found, Index, SearchPlan
from schemas.filters import Filters
from schemas.outcomes import Duplicate, Verdict
from schemas.ranking import Weights

WEIGHTS = Weights(object=0.5, style=0.2, colour=0.3)
"""Colour counts for more than in searches: two colours of one shoe have nearly one hash."""
NEAR_BITS, NEAR_SCORE, SIMILAR_SCORE = 10, 0.9, 0.9
"""Bits that two hashes may differ in, and the least score of two looks, 1 being the same."""
CANDIDATES = 5
VERDICTS = get_args(Verdict)
"""The strongest first."""
KEYS = ("sha256", "phash", DUPLICATE_GROUP)


@dataclass(frozen=True)
class Match:
    """How near another item's main picture is, and that item's group."""

    duplicate: Duplicate | None = None
    group: str = ""

    @property
    def rank(self) -> tuple[int, float]:
        """The best match has the lowest."""
        if self.duplicate is None:
            return len(VERDICTS), 0.0
        return VERDICTS.index(self.duplicate.verdict), -self.duplicate.score


NO_MATCH = Match()


class Duplicates:
    """Finds what the main pictures of items duplicate, in an index and among those of one batch."""

    def __init__(self, index: Index, parts: Parts) -> None:
        self._index = index
        self._parts = parts

    def mark(self, entries: Sequence[Entry]) -> None:
        """Give items with a new main picture what it duplicates, and their group. Raises Unavailable."""
        fresh = [(entry, main) for entry in entries if entry.state.live and (main := entry.looked_main)]
        plans = [self._plan(entry, main) for entry, main in fresh]
        found = self._index.search(plans) if plans else []
        likeness = self._likeness([main for _, main in fresh])
        for at, ((entry, main), hits) in enumerate(zip(fresh, found, strict=True)):
            matches = [*_stored(main, hits), *_beside(fresh, likeness, at)]
            best = min(matches, key=lambda match: match.rank, default=NO_MATCH)
            entry.resemble(best.duplicate, best.group)

    def _plan(self, entry: Entry, main: Looked) -> SearchPlan:
        return SearchPlan(
            vector=self._parts.weigh(main.look.vector, WEIGHTS),
            tenant=entry.tenant,
            filters=Filters(exclude_items=(entry.item_id,)),
            also=(MAIN_PICTURE,),
            limit=CANDIDATES,
            min_score=min(NEAR_SCORE, SIMILAR_SCORE),
            keys=KEYS,
        )

    def _likeness(self, mains: Sequence[Looked]) -> "np.typing.NDArray[np.float32]":
        """float32 [n, n]: what the pictures of a batch score with each other."""
        if not mains:
            return np.zeros((0, 0), np.float32)
        looks = np.stack([main.look.vector for main in mains])
        return np.stack([self._parts.weigh(look, WEIGHTS) for look in looks]) @ looks.T


def verdict_of(bits: int, score: float, *, same_bytes: bool) -> Verdict | None:
    """What two pictures are to each other, if anything."""
    if same_bytes:
        return "exact"
    if bits <= NEAR_BITS and score >= NEAR_SCORE:
        return "near"
    return "similar" if score >= SIMILAR_SCORE else None


def _stored(main: Looked, hits: Sequence[Found]) -> Iterator[Match]:
    """The matches among points of the index."""
    for hit in hits:
        item, known = str(hit.payload["item_id"]), hit.payload.get("phash")
        bits = bits_apart(main.look.phash, hash_in(str(known))) if known else 64
        group = str(hit.payload.get(DUPLICATE_GROUP) or item)
        same = hit.payload.get("sha256") == main.sha256
        yield from _match(bits, hit.score, item, group, same_bytes=same)


def _beside(
    fresh: Sequence[tuple[Entry, Looked]], likeness: "np.typing.NDArray[np.float32]", at: int
) -> Iterator[Match]:
    """The matches among items of this batch that came before this one."""
    entry, main = fresh[at]
    for (other, theirs), score in zip(fresh[:at], likeness[at, :at], strict=True):
        if other.tenant == entry.tenant:
            bits = bits_apart(main.look.phash, theirs.look.phash)
            same = theirs.sha256 == main.sha256
            yield from _match(bits, float(score), other.item_id, other.group, same_bytes=same)


def _match(bits: int, score: float, item: str, group: str, *, same_bytes: bool) -> Iterator[Match]:
    verdict = verdict_of(bits, score, same_bytes=same_bytes)
    if verdict is not None:
        score = min(1.0, round(score, 4))
        yield Match(Duplicate(verdict=verdict, item_id=item, score=score, bits=bits), group)
