"""A control: `lookstream` with an index that does not compare revisions; the last writer wins. Same arguments.

Workers read every stored item as older than any event, and the index accepts every write.
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
"""The keys by which a worker decides which event is newer, with values older than any event."""


class UncheckedIndex(EmbeddedIndex):
    """The embedded index without conditions on versions."""

    def payloads(self, ids: Sequence[str], keys: Sequence[str]) -> dict[str, Payload]:
        """The stored payloads, with revisions that look older than any event."""
        stored = super().payloads(ids, keys)
        if tuple(keys) != KNOWN_KEYS:
            return stored
        patched = set(PATCHED_KEYS.values())
        return {
            id: {key: value for key, value in payload.items() if key not in patched} | ORDER
            for id, payload in stored.items()
        }

    def upsert(self, points: Sequence[Point]) -> None:
        """Write the points unconditionally."""
        super().upsert([replace(point, payload={**point.payload, "version": _now()}) for point in points])

    def patch(self, patches: Sequence[Patch]) -> None:
        """Change payloads unconditionally."""
        super().patch([replace(patch, payload={**patch.payload, "version": _now()}) for patch in patches])

    def remove(self, versions: Mapping[str, int]) -> None:
        """Remove points unconditionally."""
        super().remove(dict.fromkeys(versions, _now()))


def _now() -> int:
    """A version above all earlier ones: microseconds since 1970."""
    return time.time_ns() // 1_000


if __name__ == "__main__":
    with patch.object(connect, "EmbeddedIndex", UncheckedIndex):
        main()
