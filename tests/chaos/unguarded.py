"""A control: `lookstream` with an index that keeps no order; takes the same words.

Whatever it holds of an item looks older than any event, and whatever is written is kept: the last writer wins.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from unittest.mock import patch

from consumers.points.payload import KNOWN_KEYS, PATCHED_KEYS
from infra.qdrant import connect
from infra.qdrant.contract import Patch, Payload, Point
from infra.qdrant.embedded.client import EmbeddedIndex
from lookstream.__main__ import main

ORDER = {"base": 0, "version": 0, "digest": ""}
"""What a worker asks the index for in order to decide which event is newer."""


class Unguarded(EmbeddedIndex):
    """The embedded index without its conditions."""

    def payloads(self, ids: Sequence[str], keys: Sequence[str]) -> dict[str, Payload]:
        """What is stored, but for what tells how old it is."""
        stored = super().payloads(ids, keys)
        if tuple(keys) != KNOWN_KEYS:
            return stored
        patched = set(PATCHED_KEYS.values())
        return {
            id: {key: value for key, value in payload.items() if key not in patched} | ORDER
            for id, payload in stored.items()
        }

    def upsert(self, points: Sequence[Point]) -> None:
        """Write the points whatever is there."""
        super().upsert([replace(point, payload={**point.payload, "version": _now()}) for point in points])

    def patch(self, patches: Sequence[Patch]) -> None:
        """Change payloads whatever is there."""
        super().patch([replace(patch, payload={**patch.payload, "version": _now()}) for patch in patches])

    def remove(self, versions: Mapping[str, int]) -> None:
        """Remove points whatever is there."""
        super().remove(dict.fromkeys(versions, _now()))


def _now() -> int:
    """A version above any before, in microseconds since 1970."""
    return time.time_ns() // 1_000


if __name__ == "__main__":
    with patch.object(connect, "EmbeddedIndex", Unguarded):
        main()
