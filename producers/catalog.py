"""Catalog feeds: turn rows with the columns of Google's product data specification into item events."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from infra.futures import map_in_order
from producers.facts.cell_values import quoted, text_of
from producers.facts.fact_limits import validate_with_limits
from producers.facts.item_facts import Cells, FactReader
from producers.facts.moments import read_moment
from producers.facts.picture_links import is_plain_url, links_in
from producers.feed_item import FeedItem, FeedResult
from producers.feeds.feed_file import ReadOptions
from producers.feeds.formats import read_feed
from producers.image_refs import Locate, image_reference, refuse_paths, threads_for
from producers.row_reader import BadRow, FeedRow, SkippedRow, revisions
from schemas.envelope import describe
from schemas.failures import Failure, Rejected
from schemas.items import MAX_IMAGES, ImageRef, ItemPatched, ItemUpserted, UrlImage, revision_at

MOST_LINKS = 100
"""Most pictures of a cell that are tried, because some cannot be used."""


@dataclass(frozen=True)
class CatalogFormat:
    """How to read a catalog: `columns` (our field -> its column), how to locate pictures, and row defaults."""

    columns: Mapping[str, str]
    locate: Locate = refuse_paths
    tenant: str = "default"
    currency: str | None = None
    """ISO 4217 code for prices without a currency."""
    file: ReadOptions | None = None
    """How to read the file, where its content does not tell."""


def read_items(path: Path, catalog_format: CatalogFormat) -> Iterator[FeedResult]:
    """The items of a catalog, in order; a row without id or picture becomes a BadRow, and reading continues."""
    reader = CatalogReader(catalog_format)

    def item_of(numbered: tuple[FeedRow | BadRow | SkippedRow, int]) -> FeedResult:
        row, revision = numbered
        return reader.read(row, revision) if isinstance(row, FeedRow) else row

    numbered_rows = zip(read_feed(path, catalog_format.file), revisions(), strict=False)
    yield from map_in_order(item_of, numbered_rows, threads_for(catalog_format.locate))


class CatalogReader:
    """Reads the rows of one catalog as items."""

    def __init__(self, catalog_format: CatalogFormat) -> None:
        columns = catalog_format.columns
        self._columns, self._tenant, self._locate = columns, catalog_format.tenant, catalog_format.locate
        self._facts = FactReader(columns, catalog_format.currency)
        self._id, self._image = columns.get("item_id", ""), columns.get("image", "")
        self._revision = columns.get("revision", "")
        self._more_images = columns.get("additional_images", "")

    def read(self, row: FeedRow, revision: int) -> FeedItem | BadRow:
        """The item of a row; `revision` applies unless the row has its own.

        A row is bad only without an id, without a picture, or with a revision that cannot be read: the present time
        in its place would make every later change of the item older than this one.
        """
        try:
            identity = self._identity(row.cells, revision)
            facts, left_out = self._facts.read(row.cells)
            identity["images"] = self._images(row.cells, left_out)
            event = validate_with_limits(
                lambda fit: ItemUpserted.model_validate({**fit, **identity}), facts, self._columns, left_out
            )
        except ValidationError as error:
            return BadRow(row.line, self._describe(error))
        except (Failure, ValueError) as error:
            return BadRow(row.line, str(error))
        return FeedItem(event, row.line, tuple(left_out))

    def read_patch(
        self, row: FeedRow, revision: int, unavailable: Collection[str]
    ) -> FeedItem | BadRow | SkippedRow:
        """The patch of a row in which the values of some columns are not known; facts that depend on them stay."""
        known = {column: cell for column, cell in row.cells.items() if column not in unavailable}
        try:
            identity = self._identity(known, revision)
            facts, left_out = self._facts.read(known)
            complete = self._facts.complete(facts, unavailable)
            if not complete:
                return SkippedRow(row.line, "a change in which no fact of an item is known")
            event = validate_with_limits(
                lambda fit: ItemPatched.model_validate({**identity, "facts": fit}),
                complete,
                self._columns,
                left_out,
            )
        except ValidationError as error:
            return BadRow(row.line, self._describe(error))
        except ValueError as error:
            return BadRow(row.line, str(error))
        return FeedItem(event, row.line, tuple(left_out))

    def _identity(self, cells: Cells, revision: int) -> dict[str, object]:
        cell = cells.get(self._id)
        if isinstance(cell, list) and cell:
            cell = cell[0]
        item_id = cell.strip() if isinstance(cell, str) else self._text(self._id, cell)
        if not item_id:
            raise ValueError(f"column `{self._id}` is empty: every item needs its item_id")
        own = cells.get(self._revision) if self._revision else None
        if own is not None and own != "":
            revision = self._read_revision(self._text(self._revision, own))
        return {"tenant": self._tenant, "item_id": item_id, "revision": revision}

    def _images(self, cells: Cells, left_out: list[str]) -> tuple[ImageRef, ...]:
        """The pictures of a row, the main one first; raises ValueError about the first one if none can be used."""
        main = cells.get(self._image)
        if isinstance(main, str) and not cells.get(self._more_images) and is_plain_url(main):
            return (UrlImage(url=main),)  # what most feeds have
        images: list[ImageRef] = []
        refusals: list[tuple[str, str]] = []
        links = self._links(cells, refusals)
        for number, (link, column) in enumerate(links.items()):
            if len(images) == MAX_IMAGES:
                left_out.append(f"{column}: {len(links) - number} pictures are left out: an item has {MAX_IMAGES}")
                break
            try:
                images.append(image_reference(link, self._locate))
            except Rejected as rejection:
                refusals.append((column, rejection.message))
            except ValidationError as error:
                refusals.append((column, f"{quoted(link)} is no picture: {describe(error)}"))
        if not images:
            column, reason = refusals[0] if refusals else (self._image, "is empty: every item needs its image")
            raise ValueError(f"column `{column}` {reason}" if not refusals else f"column `{column}`: {reason}")
        left_out += [f"{column}: a picture is left out: {reason}" for column, reason in refusals]
        return tuple(images)

    def _links(self, cells: Cells, refusals: list[tuple[str, str]]) -> dict[str, str]:
        """The links of a row without repeats, each with its column."""
        links: dict[str, str] = {}
        for column in (self._image, self._more_images):
            cell = cells.get(column)
            if cell is None or cell == "":
                continue
            try:
                for link in links_in(cell)[:MOST_LINKS]:
                    links.setdefault(link, column)
            except ValueError as error:
                refusals.append((column, f"{quoted(cell)} is no picture: {error}"))
        return links

    def _text(self, column: str, cell: object) -> str:
        try:
            return text_of(cell)
        except ValueError as error:
            raise ValueError(f"column `{column}`: {error}") from None

    def _read_revision(self, text: str) -> int:
        """The revision in a cell: a whole number, or a time as for `created_at`."""
        if text.isascii() and text.isdecimal():
            return int(text[:20])
        try:
            return revision_at(read_moment(text))
        except ValueError:
            message = f"column `{self._revision}`: revision {quoted(text)} is neither a whole number nor a time"
            raise ValueError(message) from None

    def _describe(self, error: ValidationError) -> str:
        """What is wrong with a row, by the names of its columns."""
        problems = error.errors(include_url=False)
        problem = next((each for each in problems if each["loc"][:1] in (("item_id",), ("revision",))), problems[0])
        field = str(next(iter(problem["loc"]), ""))
        column = self._columns.get(field)
        if column is None:
            return describe(error)
        if field == "item_id" and isinstance(problem["input"], str):
            length = len(problem["input"])
            reason = f"has {length} characters, an id at most 200" if length > 200 else "holds control characters"
            return f"column `{column}`: item_id {quoted(problem['input'], 40)} {reason}"
        return f"column `{column}`: {problem['msg']}"
