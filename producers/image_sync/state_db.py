"""Sync state: record the sent pictures of a location in SQLite, so that later scans find changes and deletions."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

from producers.image_sync.locations import ListedImage
from schemas.failures import Unavailable

TABLE = "CREATE TABLE IF NOT EXISTS known (path TEXT PRIMARY KEY, mark TEXT NOT NULL) WITHOUT ROWID"


class SyncState:
    """The sent pictures of one location and tenant, by path, with the version marks that they had."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self) -> dict[str, str]:
        """The mark of each path; raises Unavailable."""
        with _database_errors():
            return dict(self._connection.execute("SELECT path, mark FROM known"))

    def note(self, sent: Iterable[ListedImage], deleted: Iterable[str]) -> None:
        """Record sent and deleted pictures in one transaction; raises Unavailable, for example on a full disk."""
        with _database_errors(), self._connection:
            rows = ((each.path, each.version_tag) for each in sent)
            self._connection.executemany("INSERT OR REPLACE INTO known VALUES (?, ?)", rows)
            self._connection.executemany("DELETE FROM known WHERE path = ?", ((path,) for path in deleted))


@contextmanager
def open_sync_state(folder: Path, location: str, tenant: str) -> Iterator[SyncState]:
    """Open the state of a location and tenant, in a file of its own in the folder; raises Unavailable."""
    folder.mkdir(parents=True, exist_ok=True)
    key = "\n".join((tenant, location))
    name = sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:16]  # a path may have any bytes
    with closing(sqlite3.connect(folder / f"{name}.sqlite")) as connection:
        with _database_errors():
            connection.execute(TABLE)
        yield SyncState(connection)


@contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(
            f"the record of the pictures that were sent cannot be used ({error}): make space in the data folder; "
            "or remove its folder `watched`, then all pictures are sent again"
        ) from None
