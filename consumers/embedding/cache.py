"""Remembered looks: a picture that was looked at a while ago is not looked at again.

People search by one picture many times: with another filter, with a slider moved, on the next page.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from consumers.embedding.pipeline import EmbedImages
from consumers.vision.embedder import Look
from schemas.failures import Failure
from schemas.searches import Crop

MOST = 256
"""Looks that are kept; each takes some 10 kB."""

_CacheKey = tuple[bytes, Crop | None]
"""A picture's checksum, and the part of it."""


class EmbeddingCache:
    """Looks at pictures through `look_at`, and keeps the `most` looks that were asked for last. For one thread."""

    def __init__(self, look_at: EmbedImages, most: int = MOST) -> None:
        self._look_at = look_at
        self._most = most
        self._looks: OrderedDict[_CacheKey, Look] = OrderedDict()

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._looks)

    def look_at(self, pictures: Sequence[bytes], crops: Sequence[Crop | None] = ()) -> list[Look | Failure]:
        """As Eyes.look_at; the same bytes with the same crop are looked at once. Failures are not kept."""
        shown = [
            (sha256(picture).digest(), crop)
            for picture, crop in zip(pictures, crops or [None] * len(pictures), strict=True)
        ]
        new = {one: picture for one, picture in zip(shown, pictures, strict=True) if one not in self._looks}
        seen: dict[_CacheKey, Look | Failure] = {
            one: replace(self._looks[one], encoded_ms=0.0) for one in shown if one not in new
        }
        if new:
            looks = self._look_at(list(new.values()), [crop for _, crop in new])
            seen |= dict(zip(new, looks, strict=True))
        self._keep(seen)
        return [seen[one] for one in shown]

    def _keep(self, seen: dict[_CacheKey, Look | Failure]) -> None:
        for one, look in seen.items():
            if isinstance(look, Look):
                self._looks[one] = look
                self._looks.move_to_end(one)
        while len(self._looks) > self._most:
            self._looks.popitem(last=False)
