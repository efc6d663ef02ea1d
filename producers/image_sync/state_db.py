"""Which pictures of a place were sent, and as what: kept on disk, so that what went meanwhile is noticed."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

from producers.image_sync.locations import ListedImage

TABLE = "CREATE TABLE IF NOT EXISTS known (path TEXT PRIMARY KEY, mark TEXT NOT NULL) WITHOUT ROWID"


class SyncState:
    """The pictures of one place that were sent for one tenant, by path, with the marks that they had."""

    def __init__(self, store: sqlite3.Connection) -> None:
        self._store = store

    def all(self) -> dict[str, str]:
        """Each path and its mark."""
        return dict(self._store.execute("SELECT path, mark FROM known"))

    def note(self, sent: Iterable[ListedImage], gone: Iterable[str]) -> None:
        """These were sent, and these taken out: both or neither is kept."""
        with self._store:
            rows = ((each.path, each.mark) for each in sent)
            self._store.executemany("INSERT OR REPLACE INTO known VALUES (?, ?)", rows)
            self._store.executemany("DELETE FROM known WHERE path = ?", ((path,) for path in gone))


@contextmanager
def open_sync_state(folder: Path, place: str, tenant: str) -> Iterator[SyncState]:
    """What is known of a place, kept in a file of its own in this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    whose = "\n".join((tenant, place))
    name = sha256(whose.encode()).hexdigest()[:16]
    with closing(sqlite3.connect(folder / f"{name}.sqlite")) as store:
        store.execute(TABLE)
        yield SyncState(store)
