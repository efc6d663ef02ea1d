"""Copy study: search with copies of a collection's own pictures, as a phone would take them.

The answer to each is known. So a collection learns what the scores of photos mean to it, also if it has studio
pictures alone, and whether keypoints tell its items apart. The copies are made of thumbnails, since the index has
no other pictures. Without thumbnails there is nothing to learn from.
"""

import base64
import binascii
from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np

from consumers.points.look_payload import KEYPOINTS, keypoints_of
from consumers.scoring.calibration import PART_COUNT, CopySample, Neighbourhood, stack_probes
from consumers.scoring.sampling import CANDIDATES, CalibrationSampler, SampledItem, batches, merchant_category
from consumers.scoring.verification import VERIFIED_HITS, Verification, verification_boost
from consumers.vision.embedder import EmbedImages, Look
from consumers.vision.keypoint_matching import agreement
from consumers.vision.keypoints import NO_KEYPOINTS, QUERY_KEYPOINTS, Keypoints
from consumers.vision.phone_copies import phone_copy_of
from infra.array_types import Floats
from infra.qdrant.contract import Payload, SearchPlan
from schemas.ranking import INTENTS

COPY_COUNT = 64
"""Pictures of which a copy is made."""
COPIES_PER_STEP = 4
"""Copies that are embedded in one step: fewer than the pictures of a small batch of searches."""
PICTURE_KEYS = ("item_id", "category", "category_source", "studio", "thumbnail", KEYPOINTS)


@dataclass
class CopyStudy:
    """Searches with copies of the pictures of one tenant, and gathers what comes of it."""

    sampler: CalibrationSampler
    embed: EmbedImages
    points: int
    """Points of the tenant."""
    neighbourhoods: list[Neighbourhood] = field(default_factory=list)
    own: list[Floats] = field(default_factory=list)
    """Cosines, float32 [4], of each copy with its own picture."""
    studio: list[bool] = field(default_factory=list)
    """Whether each copy looks like a studio picture."""
    first: list[tuple[bool, bool]] = field(default_factory=list)
    """Whether each copy finds its own picture first, without and with verification."""

    def run(self) -> Generator[None, None, tuple[CopySample, Verification]]:
        """Search step by step, and return the sample at the end. Raises Unavailable, as the index does."""
        index, tenant = self.sampler.index, self.sampler.tenant
        for ids in batches(list(index.sample(tenant, COPY_COUNT)), COPIES_PER_STEP):
            payloads, looks = index.payloads(ids, PICTURE_KEYS), index.vectors(ids)
            copies = {
                id: copy
                for number, id in enumerate(ids)
                if id in looks and (copy := _copy(payloads.get(id, {}), number)) is not None
            }
            copy_looks = self.embed(list(copies.values()), keypoints=QUERY_KEYPOINTS) if copies else ()
            yield
            for id, copy_look in zip(copies, copy_looks, strict=True):
                if isinstance(copy_look, Look):
                    self._measure(copy_look, payloads[id], looks[id])
            yield
        return self._sample(), self._verification()

    def _measure(self, copy: Look, payload: Payload, look: Floats) -> None:
        """Search with a copy of the picture that has this payload and this look."""
        category, item = merchant_category(payload), str(payload["item_id"])
        probe = SampledItem(copy.vector, item, category, copy.studio)
        self.neighbourhoods += self.sampler.neighbourhoods([probe], CANDIDATES)
        self.own.append(self.sampler.cosines(copy.vector, look[np.newaxis])[0])
        self.studio.append(copy.studio)
        own = keypoints_of(payload)
        if copy.keypoints is not None and own is not None:
            query = self.sampler.parts.apply_weights(copy.vector, INTENTS["exact"])
            own_boost = verification_boost(len(agreement(copy.keypoints, own)))
            self.first.append(self._is_first(query, float(query @ look), own_boost, copy.keypoints, item))

    def _is_first(
        self, query: Floats, score: float, boost: float, keypoints: Keypoints, item: str
    ) -> tuple[bool, bool]:
        """Return whether a score is above those of all other items, without and with the boosts."""
        plan = SearchPlan(
            query, self.sampler.tenant, limit=VERIFIED_HITS, included_keys=(KEYPOINTS,), excluded_ids=(item,)
        )
        [hits] = self.sampler.index.search([plan])
        boosts = [
            verification_boost(len(agreement(keypoints, keypoints_of(hit.payload) or NO_KEYPOINTS))) for hit in hits
        ]
        return (
            all(score > hit.score for hit in hits),
            all(score + boost > hit.score + other for hit, other in zip(hits, boosts, strict=True)),
        )

    def _sample(self) -> CopySample:
        near, same = stack_probes(self.neighbourhoods)
        own = np.array(self.own, np.float32).reshape(-1, PART_COUNT)
        return CopySample(self.points, near, same, own, np.array(self.studio, np.int8))

    def _verification(self) -> Verification:
        before, after = np.mean(self.first or [(False, False)], axis=0).tolist()
        return Verification(len(self.first), before, after)


def _copy(payload: Payload, seed: int) -> bytes | None:
    """Return a copy of a point's thumbnail as JPEG; None if it has none, or none that can be read."""
    try:
        thumbnail = base64.b64decode(str(payload.get("thumbnail") or ""), validate=True)
    except binascii.Error:
        return None
    return phone_copy_of(thumbnail, np.random.default_rng(seed), studio=payload.get("studio") == "true")
