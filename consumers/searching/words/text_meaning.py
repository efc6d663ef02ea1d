"""Text meanings: compare texts with the pictures of a collection, by an encoder with a text tower."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from consumers.embedding.pipeline import TextEncoder
from consumers.scoring.look_parts import LookParts
from consumers.searching.query_state import QueryState
from consumers.searching.words.meanings import TextMeaning
from consumers.searching.words.vocabulary import TenantCache
from infra.array_types import Floats
from infra.qdrant.contract import Index, Vector

SAMPLE_SIZE = 200
"""Pictures of a tenant by which the range of a text's cosines is measured: the error of their deviation is 5 %."""
FEWEST_PICTURES = 5
"""A collection with fewer pictures has no range; there a text beside a look has no meaning."""
MOST_TEXTS = 1_000
"""Texts whose vectors are held, 2 to 3 MB: a page follows another, and many ask the same. CLIP ViT-B/32 takes 35 ms
of a core for 6 tokens, SigLIP 180 ms for its 64 (random weights, on a busy machine)."""
MEANING_WEIGHT = 1.0
"""Deviations of the look's score for a deviation of the text's cosine: a look and a text count alike. Cosines of a
text and a picture lie in a small range of their own, so both are measured by their deviation in the collection."""


@dataclass(frozen=True)
class TextMeaningReader:
    """Finds out what texts mean to a text tower. `samples` has looks of some pictures of each tenant, [n, size]."""

    encoder: TextEncoder
    parts: LookParts
    samples: TenantCache[Floats]
    vectors: OrderedDict[str, Floats] = field(default_factory=OrderedDict)
    """The vectors of the last texts, the oldest first."""

    def read(self, searches: Sequence[QueryState]) -> None:
        """Set the meaning of the texts that need one: those alone, and those beside a look with unknown words.

        Raises Unavailable when the index is unreachable.
        """
        described = [search for search in searches if _needs_meaning(search)]
        vectors = self._encode([search.words.description for search in described])
        for search in described:
            vector, is_alone = vectors[search.words.description], not search.request.has_look
            meaning = TextMeaning(self._pad(vector)) if is_alone else self._scale(search, self._pad(vector))
            if meaning is not None:
                search.set_meaning(meaning, search.words.match_by_meaning(is_alone=is_alone))

    def _encode(self, texts: Sequence[str]) -> dict[str, Floats]:
        """Return the vector of each text; the tower reads those that are not known yet, in one batch."""
        new = [text for text in dict.fromkeys(texts) if text not in self.vectors]
        if new:
            self.vectors.update(zip(new, self.encoder.encode_texts(new), strict=True))
        for text in texts:
            self.vectors.move_to_end(text)
        found = {text: self.vectors[text] for text in texts}
        while len(self.vectors) > MOST_TEXTS:
            self.vectors.popitem(last=False)
        return found

    def _pad(self, vector: Floats) -> Floats:
        """Return the vector of a text with zeros for the style and colour parts, which say nothing of texts."""
        return np.pad(vector, (0, self.parts.size - len(vector))).astype(np.float32)

    def _scale(self, search: QueryState, vector: Floats) -> TextMeaning | None:
        """Return the meaning on the scale of the look's scores; None where the collection has no range."""
        sample = self.samples.get(search.request.tenant)
        if len(sample) < FEWEST_PICTURES:
            return None
        cosines, scores = sample @ vector, sample @ self.parts.apply_weights(search.query_vector, search.weights)
        if not cosines.std() > 0:
            return None
        gain = MEANING_WEIGHT * float(scores.std() / cosines.std())
        return TextMeaning((gain * vector).astype(np.float32), gain * float(cosines.min()))


def open_text_meanings(
    encoder: TextEncoder | None, index: Index, parts: LookParts, now: Callable[[], float]
) -> TextMeaningReader | None:
    """Return the reader of an encoder that reads texts, else None. `now` is a monotonic clock in seconds."""
    if encoder is None:
        return None

    def read_sample(tenant: str) -> Floats:
        looks: list[Vector] = list(index.vectors(list(index.sample(tenant, SAMPLE_SIZE))).values())
        finite = [look for look in looks if np.isfinite(look).all()]
        return np.stack(finite) if finite else np.empty((0, parts.size), np.float32)

    return TextMeaningReader(encoder, parts, TenantCache(read_sample, now))


def _needs_meaning(search: QueryState) -> bool:
    if search.failure is not None or not search.words.description:
        return False
    return search.words.has_rest or not search.request.has_look
