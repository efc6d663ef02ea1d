"""Feed check: read a feed without sending anything, and report what would be sent."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from pathlib import Path

from rich.console import Console

from infra.config.errors import BadInput
from infra.config.images import EVERY_TENANT, ImageRoot, ImageSettings
from infra.config.settings import Settings
from infra.console import FAILED, INTERRUPTED, error_console, format_count, printable
from infra.fetching.local_files import find_below, for_tenant
from producers.cli_options import OutcomeOptions
from producers.feed_item import FeedEvent, FeedItem
from producers.image_refs import Locate, choose_root
from producers.ingest.publish import IngestTally, Publishable, catch_ctrl_c
from producers.ingest.reason_counts import ReasonCounts, place_of
from producers.ingest.report import IngestReport
from producers.ingest.summary import print_table, problem_rows, reason_rows
from producers.row_reader import BadRow, SkippedRow
from schemas.envelope import to_bytes
from schemas.failures import Code, Failure, Rejected
from schemas.items import FileImage, ImageRef, InlineImage, ItemUpserted

SAMPLE_EVERY = 100
"""The picture of the first of every so many items is fetched."""
EXAMPLE_LENGTH = 2_000
"""Most characters of a printed example."""
CHECKED_FOLDER = "checked-folder"
"""Name by which pictures of the folder `--image-root` are referred to, so that none is read or shrunk."""
EVENT_NAMES = {
    "item.upserted/1": ("item", "items"),
    "item.patched/1": ("change of facts", "changes of facts"),
    "item.deleted/1": ("deletion", "deletions"),
}
"""The words for an event in messages, singular and plural."""

Fetch = Callable[[str, ImageRef], bytes | Failure]
"""Fetches a picture of a tenant; returns the failure if workers could not use it."""
WITHOUT_PICTURES: AbstractContextManager[None] = nullcontext()
"""In place of `open_fetch`: no picture is fetched."""


@contextmanager
def open_checked_root(text: str | None, settings: Settings, tenant: str) -> Iterator[Locate]:
    """The Locate for `--image-root` in a check: each picture must exist, and none is read. Raises BadInput."""
    roots = settings.images.folders_of(tenant)
    is_folder = text is not None and text not in roots and Path(text).is_dir()
    yield checked_folder(Path(str(text))) if is_folder else choose_root(text, roots)


def checked_folder(folder: Path) -> Locate:
    """A Locate that refers to the files of a folder, without reading them."""

    def locate(text: str) -> ImageRef:
        file = find_below(folder, text)
        if not file.is_file():
            raise Rejected(Code.IMAGE_MISSING, f"there is no picture file `{text[:200]}`")
        if file.stat().st_size == 0:
            raise Rejected(Code.IMAGE_MISSING, "the picture is an empty file")
        return FileImage(root=CHECKED_FOLDER, path=file.relative_to(folder.resolve()).as_posix())

    return locate


@contextmanager
def open_fetch(settings: ImageSettings, root: str | None) -> Iterator[Fetch]:
    """A Fetch that has the limits and rights of workers, and also reads the folder `root`, if it is one.

    It decodes each picture in another process, and returns the failure of one that workers could not decode.
    """
    from infra.fetching.fetcher import ImageFetcher
    from infra.images.decode import DecodeLimits
    from infra.images.decode_pool import DecodePool

    limits = DecodeLimits(max_bytes=settings.max_bytes, max_pixels=settings.max_pixels)
    roots = dict(settings.roots)
    if root is not None and Path(root).is_dir():
        roots[CHECKED_FOLDER] = ImageRoot(path=Path(root), tenants=(EVERY_TENANT,))
    fetcher, pool = ImageFetcher(settings.model_copy(update={"roots": roots})), DecodePool(1, eager=False)

    def fetch(tenant: str, ref: ImageRef) -> bytes | Failure:
        found = fetcher.fetch(for_tenant(ref, tenant))
        try:
            if isinstance(found, bytes):
                pool.decode(found, limits)
        except Rejected as rejection:
            return rejection
        return found

    with closing(fetcher), closing(pool):
        yield fetch


class FeedCheck:
    """Reads the rows of a feed, and counts them by kind."""

    def __init__(self, console: Console, fetch: Fetch | None = None, report: IngestReport | None = None) -> None:
        """With `fetch` one picture in SAMPLE_EVERY is fetched; with `report` each row is reported."""
        self._console, self._fetch = console, fetch
        self.tally = IngestTally(name_problem=self._print, report=report)
        self.events = Counter[str]()
        self.fetched = 0
        self.missing = ReasonCounts()
        self.example: FeedEvent | None = None

    def read(self, rows: Iterable[Publishable], stopped: Callable[[], bool]) -> None:
        """Read rows until they end, or `stopped` is true."""
        for row in rows:
            if stopped():
                self.tally.interrupt()
                return
            if isinstance(row, BadRow):
                self.tally.count_bad(row)
            elif isinstance(row, SkippedRow):
                self.tally.count_skipped(row)
            else:
                self._count(row if isinstance(row, FeedItem) else FeedItem(row, 0))

    def print(self) -> int:
        """Print what would be sent, and return the exit code."""
        kinds = ", ".join(format_count(count, *EVENT_NAMES[kind]) for kind, count in self.events.items())
        stop = "stopped by Ctrl-C: " if self.tally.interrupted else ""
        total = format_count(self.tally.sent, "event", "events")
        self._print(f"{stop}nothing was sent; {total} would be{f' ({kinds})' if kinds else ''}")
        if self._fetch is not None:
            pictures = format_count(self.fetched, "picture", "pictures")
            self._print(f"fetched and decoded {pictures} of one item in {SAMPLE_EVERY}")
        print_table([*problem_rows(self.tally), *reason_rows("picture not usable", self.missing)], self._console)
        if self.example is not None:
            self._print(f"the first item: {_text_of(self.example)}")
        error = "" if self.tally.report is None else self.tally.report.error
        if error:
            self._print(f"the report is incomplete: {error}")
        if self.tally.interrupted:
            return INTERRUPTED
        return FAILED if self.tally.bad or self.missing.total or error else 0

    def _count(self, item: FeedItem) -> None:
        event = item.event
        self.tally.count_sent(item, "valid")
        self.events[event.schema_] += 1
        if isinstance(event, ItemUpserted):
            self.example = self.example or event
            if self._fetch is not None and (self.events[event.schema_] - 1) % SAMPLE_EVERY == 0:
                self._try(self._fetch, event, place_of(item.line, event.item_id))

    def _try(self, fetch: Fetch, item: ItemUpserted, place: str) -> None:
        found = fetch(item.tenant, item.images[0])
        if isinstance(found, Failure):
            self.missing.add(f"{found.code}: {found.message}", place)
        else:
            self.fetched += 1

    def _print(self, text: str) -> None:
        self._console.print(printable(text), markup=False, soft_wrap=True)


def run_check(
    rows: Iterable[Publishable],
    options: OutcomeOptions,
    fetch: "AbstractContextManager[Fetch | None]" = WITHOUT_PICTURES,
) -> int:
    """Check a feed, print what would be sent, and return the exit code; see FeedCheck. Raises BadInput."""
    if options.wait:
        raise BadInput("--check sends nothing, so there is nothing to wait for: leave --wait out")
    console = error_console()
    with ExitStack() as stack:
        path, opened = options.report, stack.enter_context(fetch)
        report = None if path is None else stack.enter_context(closing(IngestReport(path)))
        check = FeedCheck(console, opened, report)
        with catch_ctrl_c() as stopped, console.status("reading"):
            check.read(rows, stopped)
    return check.print()


def _text_of(event: FeedEvent) -> str:
    """An event as JSON, without the bytes of its pictures, and not longer than EXAMPLE_LENGTH."""
    if isinstance(event, ItemUpserted):
        short = [InlineImage(data=b"...") if isinstance(ref, InlineImage) else ref for ref in event.images]
        event = event.model_copy(update={"images": tuple(short)})
    return to_bytes(event).decode()[:EXAMPLE_LENGTH]
