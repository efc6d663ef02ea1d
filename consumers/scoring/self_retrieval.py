"""Self-retrieval: search with a collection's own pictures, augmented to casual photos.

The answer to each is known. So a collection learns what the scores of photos mean to it, also if it has studio
pictures alone, and whether keypoints distinguish its items. Thumbnails are augmented, since the index has no other
pictures. Without thumbnails there is nothing to learn from.
"""

import base64
import binascii
from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np

from consumers.points.look_payload import KEYPOINTS, keypoints_of
from consumers.scoring.calibration import PART_COUNT, AugmentedSample, Neighbourhood, stack_probes
from consumers.scoring.sampling import CANDIDATES, CalibrationSampler, SampledItem, batches, merchant_category
from consumers.scoring.verification import VERIFIED_HITS, Verification, verification_boost
from consumers.vision.embedder import EmbedImages, EmbedOptions
from consumers.vision.keypoint_matching import agreement
from consumers.vision.keypoints import NO_KEYPOINTS, QUERY_KEYPOINTS, Keypoints
from consumers.vision.look import Look
from consumers.vision.phone_augmentation import augment_encoded
from infra.array_types import Floats
from infra.qdrant.contract import Payload, SearchPlan
from schemas.ranking import INTENTS

AUGMENTED_COUNT = 64
"""Pictures that are augmented and searched with."""
AUGMENTED_PER_STEP = 4
"""Augmented pictures that are embedded in one step: fewer than the pictures of a small batch of searches."""
AS_QUERY = EmbedOptions(QUERY_KEYPOINTS, restored=True)
PICTURE_KEYS = ("item_id", "category", "category_source", "studio", "thumbnail", KEYPOINTS)


@dataclass
class SelfRetrieval:
    """Searches with augmented pictures of one tenant, and collects the results."""

    sampler: CalibrationSampler
    embed: EmbedImages
    points: int
    """Points of the tenant."""
    neighbourhoods: list[Neighbourhood] = field(default_factory=list)
    own: list[Floats] = field(default_factory=list)
    """Cosines, float32 [4], of each augmented picture with its own picture."""
    studio: list[bool] = field(default_factory=list)
    """Whether each looks like a studio picture."""
    first: list[tuple[bool, bool]] = field(default_factory=list)
    """Whether each finds its own picture first, without and with verification."""

    def run(self) -> Generator[None, None, tuple[AugmentedSample, Verification]]:
        """Search step by step, and return the sample at the end. Raises Unavailable, as the index does."""
        index, tenant = self.sampler.index, self.sampler.tenant
        for ids in batches(list(index.sample(tenant, AUGMENTED_COUNT)), AUGMENTED_PER_STEP):
            payloads, looks = index.payloads(ids, PICTURE_KEYS), index.vectors(ids)
            augmented = {
                id: jpeg
                for number, id in enumerate(ids)
                if id in looks and (jpeg := _augmented(payloads.get(id, {}), number)) is not None
            }
            results = self.embed(list(augmented.values()), (), AS_QUERY) if augmented else ()
            yield
            for id, result in zip(augmented, results, strict=True):
                if isinstance(result, Look):
                    self._measure(result, payloads[id], looks[id])
            yield
        return self._sample(), self._verification()

    def _measure(self, query: Look, payload: Payload, look: Floats) -> None:
        """Search with the look of an augmented picture; payload and look are those of its own picture."""
        category, item = merchant_category(payload), str(payload["item_id"])
        probe = SampledItem(query.vector, item, category, query.studio)
        self.neighbourhoods += self.sampler.neighbourhoods([probe], CANDIDATES)
        self.own.append(self.sampler.cosines(query.vector, look[np.newaxis])[0])
        self.studio.append(query.studio)
        own = keypoints_of(payload)
        if query.keypoints is not None and own is not None:
            weighted = self.sampler.parts.apply_weights(query.vector, INTENTS["exact"])
            own_boost = verification_boost(len(agreement(query.keypoints, own)))
            self.first.append(self._is_first(weighted, float(weighted @ look), own_boost, query.keypoints, item))

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

    def _sample(self) -> AugmentedSample:
        near, same = stack_probes(self.neighbourhoods)
        own = np.array(self.own, np.float32).reshape(-1, PART_COUNT)
        return AugmentedSample(self.points, near, same, own, np.array(self.studio, np.int8))

    def _verification(self) -> Verification:
        before, after = np.mean(self.first or [(False, False)], axis=0).tolist()
        return Verification(len(self.first), before, after)


def _augmented(payload: Payload, seed: int) -> bytes | None:
    """Return a point's thumbnail after augmentation, as JPEG; None if it has none, or none that can be read."""
    try:
        thumbnail = base64.b64decode(str(payload.get("thumbnail") or ""), validate=True)
    except binascii.Error:
        return None
    return augment_encoded(thumbnail, np.random.default_rng(seed), studio=payload.get("studio") == "true")
