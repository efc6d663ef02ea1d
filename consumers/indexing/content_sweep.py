"""Content sweep: remove the pictures of the content store without a reference.

A picture stays while it is young (its event may still wait in a topic, a retry topic or among the dead letters),
while a point of any generation has its checksum (a reindex fetches it again), and while a dead letter of the data
folder names it. Each put renews a picture's age before its event is sent, and the store removes none that was put
since the sweep has looked.
"""

import base64
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from infra.config.settings import Settings
from infra.fetching.content_store import ContentStore, StoredPicture
from infra.local_state import DEAD_LETTERS_FILE
from infra.qdrant.connect import connect, connect_register
from infra.qdrant.contract import Index
from schemas.failures import Unavailable

CHECKSUM = re.compile(rb'"sha256"\s*:\s*"([0-9a-f]{64})"')


@dataclass(frozen=True)
class ContentSweep:
    """Sweeps a store once. `indexes` are those of all generations."""

    store: ContentStore
    indexes: Sequence[Index]
    dead_letters: Path
    """The file of the dead letters of earlier local runs."""
    days: float
    """Days that a picture stays after it was last put."""
    is_dry_run: bool = False
    """Whether to remove nothing, and only find what would be removed."""

    def parts(self) -> Iterator[Sequence[StoredPicture]]:
        """Sweep in small parts, and yield the removed pictures of each; raises Unavailable, Fault or OSError."""
        moment = datetime.now(UTC) - timedelta(days=self.days)
        waiting = checksums_in(self.dead_letters)
        for part in self.store.not_put_since(moment):
            unused = [picture for picture in self._unindexed(part) if picture.sha256 not in waiting]
            yield [picture for picture in unused if self.is_dry_run or self.store.remove(picture, moment)]

    def _unindexed(self, pictures: Sequence[StoredPicture]) -> list[StoredPicture]:
        """The pictures that no point of their tenant has."""
        by_tenant: defaultdict[str, set[str]] = defaultdict(set)
        for picture in pictures:
            by_tenant[picture.tenant].add(picture.sha256)
        for tenant, checksums in by_tenant.items():
            for index in self.indexes:
                checksums -= _indexed(index, tenant, checksums)
        return [picture for picture in pictures if picture.sha256 in by_tenant[picture.tenant]]


def _indexed(index: Index, tenant: str, checksums: Collection[str]) -> set[str]:
    """Which of these checksums live points have.

    One search returns a limited number of points, and many may have the same checksum: only a search that finds
    nothing proves that the rest is not in the index.
    """
    found: set[str] = set()
    while rest := set(checksums) - found:
        more = index.find_by_checksum(tenant, sorted(rest)).keys() & rest
        if not more:
            break
        found |= more
    return found


def checksums_in(path: Path) -> set[str]:
    """The picture checksums that the events in a file of dead letters name; empty if there is no file."""
    found: set[str] = set()
    if path.exists():
        with path.open("rb") as file:
            for line in file:
                found.update(_named_in(line, path))
    return found


def _named_in(line: bytes, path: Path) -> list[str]:
    try:
        value = base64.b64decode(json.loads(line)["value"] or "", validate=True)
    except (ValueError, LookupError, TypeError):
        raise Unavailable(f"a line of {path} is not a dead letter: correct it, or remove it") from None
    return [checksum.decode() for checksum in CHECKSUM.findall(value)]


@contextmanager
def open_sweep(settings: Settings, store: ContentStore, *, is_dry_run: bool = False) -> Iterator[ContentSweep]:
    """A sweep with connections to the indexes of all generations; raises Unavailable if one is unavailable."""
    with ExitStack() as stack:
        known = connect_register(settings).read().known
        indexes = [stack.enter_context(closing(connect(settings, one.number))) for one in known]
        dead_letters, days = settings.data / DEAD_LETTERS_FILE, settings.images.content_days
        yield ContentSweep(store, indexes, dead_letters, days, is_dry_run)
