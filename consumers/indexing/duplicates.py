"""Duplicates: items of a tenant whose main pictures are the same, or nearly.

exact      the same bytes
near       the same picture, resized, recompressed, framed or marked: its perceptual hash and its look agree
similar    another picture that looks much the same; it is told, but makes no group

Items that are exact or near duplicates are of one group, which bears the id of the item that was there first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, get_args

import numpy as np

from consumers.indexing.images import EmbeddedImage
from consumers.indexing.item_update import ItemUpdate
from consumers.points.payload import DUPLICATE_GROUP
from consumers.scoring.calibration import LookParts
from consumers.vision.perceptual_hash import bits_apart, hash_in
from infra.qdrant.conditions import MAIN_PICTURE
from infra.qdrant.contract import Index, ScoredPoint, SearchPlan
from schemas.outcomes import Duplicate, Verdict
from schemas.ranking import Weights

WEIGHTS = Weights(object=0.6, style=0, colour=0.4)
"""Style is lost when a picture is made smaller; colour counts, for two colours of one shoe have nearly one hash."""
NEAR_PHOTOS, NEAR_STUDIO = ((6, 0.65), (12, 0.85)), ((4, 0.95),)
"""Bits that two hashes may differ in, each with the least score of their looks, 1 being the same. Two photos with
nearly one hash are one, whatever became of the rest; two studio pictures of other things may have one hash, and are
the same only if nothing tells them apart (measured: tests/evaluation/duplicates.py, docs/duplicates.md)."""
SIMILAR_SCORE = 0.9
LEAST_SCORE = min(score for _, score in NEAR_PHOTOS)
CANDIDATES = 10
VERDICTS = get_args(Verdict)
"""The strongest first."""
KEYS = ("sha256", "phash", "studio", DUPLICATE_GROUP)


class NearImage(NamedTuple):
    """Another item, what its main picture's look scores, and in how many bits its hash differs."""

    item_id: str
    score: float
    bits: int


@dataclass(frozen=True)
class DuplicateMatch:
    """How near another item's main picture is, and that item's group."""

    duplicate: Duplicate | None = None
    group: str = ""

    @property
    def rank(self) -> tuple[int, float]:
        """The best match has the lowest."""
        if self.duplicate is None:
            return len(VERDICTS), 0.0
        return VERDICTS.index(self.duplicate.verdict), -self.duplicate.score


NO_MATCH = DuplicateMatch()


class DuplicateFinder:
    """Finds what the main pictures of items duplicate, in an index and among those of one batch."""

    def __init__(self, index: Index, parts: LookParts) -> None:
        self._index = index
        self._parts = parts

    def mark(self, entries: Sequence[ItemUpdate]) -> None:
        """Give items with a new main picture what it duplicates, and their group. Raises Unavailable."""
        fresh = [(entry, main) for entry in entries if entry.state.live and (main := entry.looked_main)]
        plans = [self._plan(entry, main) for entry, main in fresh]
        found = self._index.search(plans) if plans else []
        likeness = self._likeness([main for _, main in fresh])
        for at, ((entry, main), hits) in enumerate(zip(fresh, found, strict=True)):
            matches = [*_stored(main, hits), *_beside(fresh, likeness, at)]
            best = min(matches, key=lambda match: match.rank, default=NO_MATCH)
            entry.resemble(best.duplicate, best.group)

    def _plan(self, entry: ItemUpdate, main: EmbeddedImage) -> SearchPlan:
        return SearchPlan(
            vector=self._parts.weigh(main.look.vector, WEIGHTS),
            tenant=entry.tenant,
            apart_from=(entry.item_id,),
            also=(MAIN_PICTURE,),
            limit=CANDIDATES,
            min_score=LEAST_SCORE,
            keys=KEYS,
        )

    def _likeness(self, mains: Sequence[EmbeddedImage]) -> "np.typing.NDArray[np.float32]":
        """float32 [n, n]: what the pictures of a batch score with each other."""
        if not mains:
            return np.zeros((0, 0), np.float32)
        looks = np.stack([main.look.vector for main in mains])
        return np.stack([self._parts.weigh(look, WEIGHTS) for look in looks]) @ looks.T


def verdict_of(bits: int, score: float, *, same_bytes: bool, studio: bool) -> Verdict | None:
    """What two pictures are to each other, if anything; `studio`: whether both are studio pictures."""
    if same_bytes:
        return "exact"
    if any(bits <= most and score >= least for most, least in (NEAR_STUDIO if studio else NEAR_PHOTOS)):
        return "near"
    return "similar" if score >= SIMILAR_SCORE else None


def _stored(main: EmbeddedImage, hits: Sequence[ScoredPoint]) -> Iterator[DuplicateMatch]:
    """The matches among points of the index."""
    for hit in hits:
        item, known = str(hit.payload["item_id"]), hit.payload.get("phash")
        bits = bits_apart(main.look.phash, hash_in(str(known))) if known else 64
        group = str(hit.payload.get(DUPLICATE_GROUP) or item)
        same = hit.payload.get("sha256") == main.sha256
        studio = main.look.studio and hit.payload.get("studio") == "true"
        verdict = verdict_of(bits, hit.score, same_bytes=same, studio=studio)
        yield from _match(verdict, NearImage(item, hit.score, bits), group)


def _beside(
    fresh: Sequence[tuple[ItemUpdate, EmbeddedImage]], likeness: "np.typing.NDArray[np.float32]", at: int
) -> Iterator[DuplicateMatch]:
    """The matches among items of this batch that came before this one."""
    entry, main = fresh[at]
    for (other, theirs), score in zip(fresh[:at], likeness[at, :at], strict=True):
        if other.tenant == entry.tenant:
            bits = bits_apart(main.look.phash, theirs.look.phash)
            same = theirs.sha256 == main.sha256
            studio = main.look.studio and theirs.look.studio
            verdict = verdict_of(bits, float(score), same_bytes=same, studio=studio)
            yield from _match(verdict, NearImage(other.item_id, float(score), bits), other.group)


def _match(verdict: Verdict | None, near: NearImage, group: str) -> Iterator[DuplicateMatch]:
    if verdict is not None:
        score = min(1.0, round(near.score, 4))
        yield DuplicateMatch(Duplicate(verdict=verdict, item_id=near.item_id, score=score, bits=near.bits), group)
