"""Duplicate detection: find items of a tenant whose main pictures are the same, or nearly the same.

exact      the same bytes
near       the same picture, resized, recompressed, framed or watermarked: its perceptual hash and its look agree
similar    another picture that looks much the same; it is reported, but does not join the group

Items that are exact or near duplicates form a group, whose id is the id of its first item.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, get_args

import numpy as np

from consumers.indexing.images import EmbeddedImage
from consumers.indexing.item_update import ItemEvents, ItemUpdate
from consumers.points.payload import DUPLICATE_GROUP
from consumers.scoring.look_parts import LookParts
from consumers.vision.perceptual_hash import hamming_distance, parse_hash
from infra.qdrant.conditions import MAIN_PICTURE
from infra.qdrant.contract import Index, ScoredPoint, SearchPlan
from schemas.outcomes import Duplicate, Verdict
from schemas.ranking import Weights

WEIGHTS = Weights(object=0.6, style=0, colour=0.4)
"""Style has no weight, because it is lost when a picture is made smaller. Colour has weight, because pictures of
one shoe in two colours have nearly the same hash."""
NEAR_PHOTOS, NEAR_STUDIO = ((6, 0.65), (12, 0.85)), ((4, 0.95),)
"""Pairs of the maximum number of bits in which two hashes differ, and the minimum score of the looks (1: equal).
Two photos with nearly the same hash are the same picture, so their looks need to agree only roughly. Two studio
pictures of different things can have the same hash, so their looks must agree in all but noise (measured:
tests/evaluation/duplicates.py, docs/duplicates.md)."""
SIMILAR_SCORE = 0.9
MIN_SCORE = min(score for _, score in NEAR_PHOTOS)
CANDIDATES = 10
VERDICTS = get_args(Verdict)
"""The verdicts, strongest first."""
KEYS = ("sha256", "phash", "studio", DUPLICATE_GROUP)


class NearImage(NamedTuple):
    """Another item, the score of its main picture's look, and the number of bits in which its hash differs."""

    item_id: str
    score: float
    bits: int


@dataclass(frozen=True)
class DuplicateMatch:
    """The relation to another item's main picture, and that item's group."""

    duplicate: Duplicate | None = None
    group: str = ""

    @property
    def rank(self) -> tuple[int, float]:
        """Sort key: the best match has the lowest rank."""
        if self.duplicate is None:
            return len(VERDICTS), 0.0
        return VERDICTS.index(self.duplicate.verdict), -self.duplicate.score


NO_MATCH = DuplicateMatch()


class DuplicateFinder:
    """Finds the duplicates of the main pictures of a batch, in the index and within the batch."""

    def __init__(self, index: Index, parts: LookParts) -> None:
        self._index = index
        self._parts = parts

    def add_duplicates(self, updates: Sequence[ItemUpdate]) -> list[ItemUpdate]:
        """The updates with the duplicate and the group of each new main picture. Raises Unavailable."""
        new = [(update, main) for update in updates if update.state.live and (main := update.new_main_image)]
        plans = [self._plan(update.item, main) for update, main in new]
        results = self._index.search(plans) if plans else []
        scores = self._pairwise_scores([main for _, main in new])
        grouped: list[tuple[ItemUpdate, EmbeddedImage]] = []
        for (update, main), hits, row in zip(new, results, scores, strict=True):
            matches = [*_index_matches(main, hits), *_batch_matches(update.item.tenant, main, grouped, row)]
            best = min(matches, key=lambda match: match.rank, default=NO_MATCH)
            grouped.append((update.with_duplicate(best.duplicate, best.group), main))
        results_of = {update: with_group for (update, _), (with_group, _) in zip(new, grouped, strict=True)}
        return [results_of.get(update, update) for update in updates]

    def _plan(self, item: ItemEvents, main: EmbeddedImage) -> SearchPlan:
        return SearchPlan(
            vector=self._parts.apply_weights(main.look.vector, WEIGHTS),
            tenant=item.tenant,
            excluded_ids=(item.item_id,),
            extra_conditions=(MAIN_PICTURE,),
            limit=CANDIDATES,
            min_score=MIN_SCORE,
            included_keys=KEYS,
        )

    def _pairwise_scores(self, mains: Sequence[EmbeddedImage]) -> "np.typing.NDArray[np.float32]":
        """The scores of the pictures of a batch with each other, float32 [n, n]."""
        if not mains:
            return np.zeros((0, 0), np.float32)
        looks = np.stack([main.look.vector for main in mains])
        return np.stack([self._parts.apply_weights(look, WEIGHTS) for look in looks]) @ looks.T


def verdict_of(bits: int, score: float, *, same_bytes: bool, studio: bool) -> Verdict | None:
    """The relation of two pictures, or None if they are unrelated; `studio`: whether both are studio pictures."""
    if same_bytes:
        return "exact"
    if any(bits <= max_bits and score >= least for max_bits, least in (NEAR_STUDIO if studio else NEAR_PHOTOS)):
        return "near"
    return "similar" if score >= SIMILAR_SCORE else None


def _index_matches(main: EmbeddedImage, hits: Sequence[ScoredPoint]) -> Iterator[DuplicateMatch]:
    """The matches among points of the index."""
    for hit in hits:
        item, phash = str(hit.payload["item_id"]), hit.payload.get("phash")
        bits = hamming_distance(main.look.phash, parse_hash(str(phash))) if phash else 64
        group = str(hit.payload.get(DUPLICATE_GROUP) or item)
        same = hit.payload.get("sha256") == main.sha256
        studio = main.look.studio and hit.payload.get("studio") == "true"
        verdict = verdict_of(bits, hit.score, same_bytes=same, studio=studio)
        yield from _match(verdict, NearImage(item, hit.score, bits), group)


def _batch_matches(
    tenant: str,
    main: EmbeddedImage,
    earlier: Sequence[tuple[ItemUpdate, EmbeddedImage]],
    scores: "np.typing.NDArray[np.float32]",
) -> Iterator[DuplicateMatch]:
    """The matches among the items that precede this one in the batch; `scores` begins with theirs."""
    for (other, other_main), score in zip(earlier, scores, strict=False):
        if other.item.tenant == tenant:
            bits = hamming_distance(main.look.phash, other_main.look.phash)
            same = other_main.sha256 == main.sha256
            studio = main.look.studio and other_main.look.studio
            verdict = verdict_of(bits, float(score), same_bytes=same, studio=studio)
            yield from _match(verdict, NearImage(other.item.item_id, float(score), bits), other.group)


def _match(verdict: Verdict | None, near: NearImage, group: str) -> Iterator[DuplicateMatch]:
    if verdict is not None:
        score = min(1.0, round(near.score, 4))
        yield DuplicateMatch(Duplicate(verdict=verdict, item_id=near.item_id, score=score, bits=near.bits), group)
