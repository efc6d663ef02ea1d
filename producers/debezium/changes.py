"""Change events: turn the changes of a table into item events, so that the index mirrors the table."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from pydantic import ValidationError

from producers.catalog import CatalogFormat, CatalogReader
from producers.debezium.mapping import TableMapping
from producers.debezium.records import RowChange, Tombstone, key_cells
from producers.debezium.values import UnavailableValue, cells_of, plain_id
from producers.feed_item import FeedItem, FeedResult
from producers.feeds.feed_file import is_utf8
from producers.image_refs import Locate
from producers.row_reader import BadRow, FeedRow, Json, SkippedRow
from schemas.envelope import describe
from schemas.items import ItemDeleted

Change = RowChange | Tombstone


@dataclass
class PartitionHistory:
    """The history of one partition: the revisions and the form of its changes, and the last deletion.

    A revision is the commit time in microseconds. All changes of a transaction have the same time in milliseconds,
    so further changes of a row add one microsecond each. The revisions are reproducible if all changes of that
    millisecond are read again from the first one, which is where ChangeFollower resumes.
    """

    at_ms: int = -1
    is_flat: bool | None = None
    """Whether the rows are in the flat form; None before the first row."""
    deleted_item: str | None = None
    """The item that the last change deleted, if it was a deletion."""
    _last: dict[str, int] = field(default_factory=dict)
    _newest: int = 0

    def is_new_time(self, at_ms: int) -> bool:
        """Whether a change of this time is the first one of its millisecond."""
        return at_ms != self.at_ms

    def revision(self, item: str, at_ms: int) -> int:
        """The next revision of an item for a change at this time."""
        if self.is_new_time(at_ms):
            self.at_ms, self._last = at_ms, {}
        self._last[item] = max(at_ms * 1_000, self._last.get(item, 0) + 1)
        self._newest = max(self._newest, self._last[item])
        return self._last[item]

    def deletion_revision(self, item: str, tombstone: Tombstone) -> int | None:
        """The revision of a flat tombstone, which is a deletion; None if its time is unknown.

        It is the time of the change if a header has it, else directly after the partition's newest change: the
        record's time is the connector's, and a connector that lags writes it after the row has come back.
        """
        if tombstone.time.source_ms is not None:
            return self.revision(item, tombstone.time.source_ms)
        if self._newest:
            self._newest += 1
            self._last[item] = self._newest
            return self._newest
        return None if tombstone.time.at_ms is None else self.revision(item, tombstone.time.at_ms)

    def add(self, item: str, *, is_deleted: bool) -> None:
        """Record whether the last change was a deletion."""
        self.deleted_item = item if is_deleted else None

    def set_form(self, *, is_flat: bool) -> None:
        """Record the form of the rows."""
        self.is_flat = is_flat


@dataclass(frozen=True)
class RevisedRow:
    """A row of an item with its revision, whose facts and pictures are not read yet."""

    row: FeedRow
    revision: int
    missing: set[str]
    """Columns whose values the change does not contain."""
    unreadable: Mapping[str, str]
    """Columns whose values could not be decoded, and the reasons."""


@dataclass(frozen=True)
class ChangeReader:
    """Reads the changes of one table as item events.

    `revise` needs the changes in their order, and is quick. `complete` reads pictures, and is thread-safe.
    """

    mapping: TableMapping
    locate: Locate

    @cached_property
    def _items(self) -> CatalogReader:
        mapping = self.mapping
        return CatalogReader(CatalogFormat(mapping.columns, self.locate, mapping.tenant, mapping.currency))

    @cached_property
    def _unavailable(self) -> UnavailableValue:
        return UnavailableValue(self.mapping.unavailable)

    @property
    def _id_column(self) -> str:
        return self.mapping.columns["item_id"]

    def revise(self, change: Change, history: PartitionHistory, line: int) -> RevisedRow | FeedResult:
        """The row of a change with its revision; a row that does not satisfy `mapping.only` becomes a deletion."""
        if isinstance(change, Tombstone):
            return self._read_tombstone(change, history, line)
        history.set_form(is_flat=change.is_flat)
        row, missing = self._available(change)
        cells, unreadable = cells_of(row, change.schema)
        item = _as_id(cells.get(self._id_column)) or self._id_in_key(change.key)
        if not item:
            reason = unreadable.get(self._id_column, "is empty: it must be in the row, or the key of a deletion")
            return BadRow(line, f"column `{self._id_column}` {reason}")
        cells[self._id_column] = item
        revision = history.revision(item, change.at_ms)
        is_item = not change.is_deleted and self._is_item(cells, missing)
        history.add(item, is_deleted=not is_item)
        if not is_item:
            return self._deletion(item, revision, line)
        if self.mapping.columns["image"] in unreadable:
            return BadRow(
                line, f"column `{self.mapping.columns['image']}`: {unreadable[self.mapping.columns['image']]}"
            )
        return RevisedRow(FeedRow(line, cells), revision, missing, unreadable)

    def complete(self, change: RevisedRow | FeedResult) -> FeedResult:
        """The item event of a change that is revised.

        If the change lacks the value of a mapped column, it becomes a patch of the facts that it has.
        """
        if not isinstance(change, RevisedRow):
            return change
        found = (
            self._items.read_patch(change.row, change.revision, change.missing)
            if change.missing & set(self.mapping.columns.values())
            else self._items.read(change.row, change.revision)
        )
        return self._with_unreadable(found, change.unreadable)

    def _read_tombstone(self, tombstone: Tombstone, history: PartitionHistory, line: int) -> FeedResult:
        item = self._id_in_key(tombstone.key)
        if history.is_flat is False or (item and item == history.deleted_item):
            return SkippedRow(line, "a tombstone: the deletion came before it")
        if not item:
            if history.is_flat is None and tombstone.key is None:
                return SkippedRow(line, "a tombstone without a key")
            return BadRow(
                line, f"a tombstone deletes the row of its key, which does not contain `{self._id_column}`"
            )
        revision = history.deletion_revision(item, tombstone)
        if revision is None:
            return SkippedRow(line, "a tombstone: nothing before it says when it was")
        history.add(item, is_deleted=True)
        return self._deletion(item, revision, line)

    def _available(self, change: RowChange) -> tuple[dict[str, Json], set[str]]:
        """The row without the columns whose values the change does not contain, and the names of these.

        The row before the change has the value if the table logs it (REPLICA IDENTITY FULL).
        """
        row, missing = dict(change.row), set[str]()
        for column in [name for name, value in row.items() if self._unavailable.matches(value)]:
            before = change.before.get(column)
            if before is None or self._unavailable.matches(before):
                missing.add(column)
                del row[column]
            else:
                row[column] = before
        return row, missing

    def _id_in_key(self, key: bytes | None) -> str:
        cells = key_cells(key)
        if isinstance(cells, dict):
            if self._id_column == "_id" and "_id" not in cells:  # MongoDB's keys name the field `_id` so
                return plain_id(_as_id(cells.get("id")))
            return _as_id(cells.get(self._id_column))
        return _as_id(cells)

    def _is_item(self, cells: Mapping[str, Json], missing: set[str]) -> bool:
        """Whether a row satisfies `only`; a value that the change lacks has not changed, so it still does."""
        return all(
            column in missing or _as_text(cells.get(column)) in values
            for column, values in self.mapping.only.items()
        )

    def _deletion(self, item: str, revision: int, line: int) -> FeedItem | BadRow:
        try:
            return FeedItem(ItemDeleted(tenant=self.mapping.tenant, item_id=item, revision=revision), line)
        except ValidationError as error:
            return BadRow(line, f"column `{self._id_column}`: {describe(error)}")

    def _with_unreadable(self, found: FeedResult, unreadable: Mapping[str, str]) -> FeedResult:
        """The item with a sentence for each of its columns whose value could not be decoded."""
        if not unreadable or not isinstance(found, FeedItem):
            return found
        columns = set(self.mapping.columns.values())
        notes = [f"{name}: {reason}: it is left out" for name, reason in unreadable.items() if name in columns]
        return replace(found, left_out=(*found.left_out, *notes))


def _as_text(value: Json) -> str:
    """A value in the spelling of mapping files."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if value is None or isinstance(value, str) else ""


def _as_id(value: Json) -> str:
    return value.strip() if isinstance(value, str) and is_utf8(value) else ""
