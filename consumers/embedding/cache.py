"""Embedding cache: keeps the looks of recent pictures in memory, so that a repeated picture is not embedded again.

People search with one picture many times: with another filter, with a slider moved, for the next page.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from consumers.vision.embedder import DEFAULT_OPTIONS, EmbedImages, EmbedOptions
from consumers.vision.look import Look
from schemas.failures import Failure
from schemas.items import Objects
from schemas.searches import Crop

MAX_LOOKS = 256
"""Capacity of the cache, in looks; each takes about 10 kB, and so does each thing in a picture."""

_CacheKey = tuple[bytes, Crop | None, bool, Objects]
"""SHA-256 of the encoded picture, the crop, whether the picture was restored, and which things have looks."""


class EmbeddingCache:
    """LRU cache of up to `most` looks in front of the function `embed`. Not thread-safe: for one thread."""

    def __init__(self, embed: EmbedImages, most: int = MAX_LOOKS) -> None:
        self._embed = embed
        self._most = most
        self._looks: OrderedDict[_CacheKey, Look] = OrderedDict()

    def __len__(self) -> int:
        return len(self._looks)

    def embed(
        self, pictures: Sequence[bytes], crops: Sequence[Crop | None] = (), options: EmbedOptions = DEFAULT_OPTIONS
    ) -> list[Look | Failure]:
        """As ImageEmbedder.embed, but the same bytes with the same crop are embedded once.

        Looks from the cache have `encoded_ms` 0. Failures are not cached.
        """
        keys = [
            (sha256(picture).digest(), crop, options.restored, options.objects)
            for picture, crop in zip(pictures, crops or [None] * len(pictures), strict=True)
        ]
        misses = {
            key: picture
            for key, picture in zip(keys, pictures, strict=True)
            if not self._has(key, options.keypoints)
        }
        results: dict[_CacheKey, Look | Failure] = {
            key: replace(self._looks[key], encoded_ms=0.0) for key in keys if key not in misses
        }
        if misses:
            looks = self._embed(list(misses.values()), [crop for _, crop, *_ in misses], options)
            results |= dict(zip(misses, looks, strict=True))
        self._store(results)
        return [results[key] for key in keys]

    def _has(self, key: _CacheKey, keypoints: int) -> bool:
        """Return whether the look is cached, and has keypoints if they are needed."""
        look = self._looks.get(key)
        return look is not None and (look.keypoints is not None or keypoints == 0)

    def _store(self, results: dict[_CacheKey, Look | Failure]) -> None:
        for key, look in results.items():
            if isinstance(look, Look):
                self._looks[key] = look
                self._looks.move_to_end(key)
        while len(self._looks) > self._most:
            self._looks.popitem(last=False)
