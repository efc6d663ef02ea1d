"""Producer commands: `ingest catalog`, `ingest social`, `delete`, `search` and `facets`."""

import itertools
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from infra.console import FAILED, command_options, printable
from producers.cli_options import (
    CatalogOptions,
    DeleteOptions,
    FacetsOptions,
    FeedOptions,
    OutcomeOptions,
    SocialOptions,
)
from producers.debezium.commands import app as debezium
from producers.image_sync.commands import app as pictures
from producers.search_options import SearchOptions

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from infra.config.settings import Settings
    from producers.image_refs import Locate
    from producers.ingest.publish import Publishable
    from schemas.results import SearchResult
    from schemas.searches import SearchRequest

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
ingest = typer.Typer(no_args_is_help=True, help="Send a feed of items to Kafka.")
app.add_typer(ingest, name="ingest")
ingest.add_typer(debezium)
ingest.add_typer(pictures)


@ingest.command("catalog")
@command_options(CatalogOptions)
def ingest_catalog(options: CatalogOptions) -> None:
    """Send a catalog: a table, JSON, XML or Parquet with Google's columns, or an export of a shop's software."""
    from infra.config.settings import read_settings
    from producers.catalog import CatalogFormat, read_items
    from producers.column_mapping import choose_columns, mapped_columns
    from producers.feeds.feed_file import ReadOptions
    from producers.row_reader import check_defaults

    settings, mappings = read_settings(), options.map or []
    file_options = ReadOptions(options.encoding, options.delimiter, mapped_columns(mappings))
    check_defaults(options.tenant, options.currency)
    columns = choose_columns(options.file, mappings, file_options)
    for line in columns.summary:
        typer.echo(printable(line), err=True)
    with _open_locate(settings, options, options.tenant) as locate:
        catalog_format = CatalogFormat(columns, locate, options.tenant, options.currency, file_options)
        rows = itertools.islice(read_items(options.file, catalog_format), options.limit)
        if options.is_check:
            _check(settings, rows, options)
        else:
            _send(settings, rows, _row_count(options.file, options.limit), options)


@ingest.command("social")
@command_options(SocialOptions)
def ingest_social(options: SocialOptions) -> None:
    """Send social posts in ActivityStreams 2.0: one a line, or a collection such as an outbox."""
    from infra.config.settings import read_settings
    from producers.row_reader import check_defaults
    from producers.social.posts import SocialFormat, read_posts

    settings = read_settings()
    check_defaults(options.tenant)
    with _open_locate(settings, options, options.tenant) as locate:
        rows = itertools.islice(read_posts(options.file, SocialFormat(locate, options.tenant)), options.limit)
        if options.is_check:
            _check(settings, rows, options)
        else:
            _send(settings, rows, _row_count(options.file, options.limit), options)


@app.command("delete")
@command_options(DeleteOptions)
def delete(options: DeleteOptions) -> None:
    """Delete items from the index."""
    from infra.config.settings import read_settings
    from producers.ingest.publish import deletions

    events = deletions(options.items, options.tenant, options.source, options.revision)
    _send(read_settings(), events, len(events), options)


@app.command("search")
@command_options(SearchOptions)
def search(options: SearchOptions) -> None:
    """Find items that look like a picture or like an indexed item, or that words describe."""
    from infra.config.settings import read_settings
    from schemas.envelope import to_bytes

    request, settings = _request(options), read_settings()
    result, seconds = _search(settings, request)
    if options.json:
        sys.stdout.write(to_bytes(result).decode() + "\n")
    else:
        _show(result, seconds)
    if options.sheet is not None:
        from producers.search_pictures import write_sheet

        caption = " + ".join([*(options.query or []), *([options.text] if options.text else [])])
        write_sheet(options.sheet, caption, request, result)
    if options.show_matches is not None:
        from producers.search_pictures import write_matches

        write_matches(options.show_matches, request, result)
    sys.exit(0 if result.status in ("ok", "no_match") else FAILED)


@app.command("facets")
@command_options(FacetsOptions)
def facets(options: FacetsOptions) -> None:
    """Count the items of each category, colour, brand and source, for the filters of a page."""
    from infra.client.search_client import SearchClient
    from infra.config.settings import read_settings
    from infra.local_state import resolve_kafka_settings
    from producers.filter_syntax import parse_filters
    from producers.search_output import make_facets_request, show_counts
    from schemas.envelope import to_bytes

    request = make_facets_request(
        tenant=options.tenant,
        facets=tuple(options.facet) if options.facet else None,
        filters=parse_filters(options.filter or []),
        limit=options.limit,
        restricted=options.restricted,
        deadline_ms=round(options.deadline * 1000),
    )
    with SearchClient(resolve_kafka_settings(read_settings())) as client:
        result = client.count(request)
    if options.json:
        sys.stdout.write(to_bytes(result).decode() + "\n")
    else:
        show_counts(result)
    sys.exit(0 if result.status == "ok" else FAILED)


def _row_count(file: Path, limit: int | None) -> int:
    from producers.feeds.feed_file import count_lines

    lines = count_lines(file)
    return lines if limit is None else min(lines, limit)


def _open_locate(settings: "Settings", options: FeedOptions, tenant: str) -> "AbstractContextManager[Locate]":
    """The function that locates the pictures of a feed; in a check it reads none."""
    from producers.image_refs import open_root
    from producers.ingest.feed_check import open_checked_root

    return (open_checked_root if options.is_check else open_root)(options.image_root, settings, tenant)


def _send(settings: "Settings", rows: "Iterable[Publishable]", total: int, options: OutcomeOptions) -> None:
    """Send rows; exits with 0 if all is well, FAILED, UNFINISHED or INTERRUPTED."""
    from producers.ingest.session import run_ingest

    sys.exit(run_ingest(settings, rows, total, options))


def _check(settings: "Settings", rows: "Iterable[Publishable]", options: FeedOptions) -> None:
    """Show what would be sent; exits with 0 if all is well, FAILED or INTERRUPTED."""
    from producers.ingest.feed_check import WITHOUT_PICTURES, open_fetch, run_check

    root, is_sampled = options.image_root, options.check_pictures
    sys.exit(run_check(rows, options, open_fetch(settings.images, root) if is_sampled else WITHOUT_PICTURES))


def _request(options: SearchOptions) -> "SearchRequest":
    from producers.filter_syntax import parse_boosts, parse_crop, parse_each, parse_filters
    from producers.search_output import make_request, query_of

    return make_request(
        **query_of(options.query or []),
        text=options.text,
        ignore_words=tuple(options.ignore_word or []),
        plain_words=tuple(options.plain_word or []),
        variations=options.variations,
        unlike=tuple(options.unlike or []),
        tenant=options.tenant,
        crop=None if options.crop is None else parse_crop(options.crop),
        objects="auto" if options.objects else "none",
        intent=options.intent,
        metric=options.metric,
        filters=parse_filters(options.filter or []),
        any_of=parse_each("--any", options.any or []),
        none_of=parse_each("--not", options.not_ or []),
        top_k=options.top_k,
        offset=options.offset,
        collapse=options.collapse,
        group_size=options.group_size,
        diversity=options.diversity,
        boosts=parse_boosts(options.boost or []),
        understand="auto" if options.understand else "off",
        explain=options.explain or options.show_matches is not None,
        min_score=options.min_score,
        min_confidence=options.min_confidence,
        strict=not options.best_effort,
        restricted=options.restricted,
        thumbnails=options.sheet is not None or options.show_matches is not None,
        deadline_ms=round(options.deadline * 1000),
    )


def _search(settings: "Settings", request: "SearchRequest") -> "tuple[SearchResult, float]":
    """The result of a search, and the seconds that it took."""
    from infra.client.search_client import SearchClient
    from infra.local_state import resolve_kafka_settings
    from infra.observability.tracing import SERVICE, tracing

    with (
        tracing(settings.traces, SERVICE) as spans,
        SearchClient(resolve_kafka_settings(settings), tracing=spans) as client,
    ):
        started = time.monotonic()
        return client.search(request), time.monotonic() - started


def _show(result: "SearchResult", seconds: float) -> None:
    from rich.console import Console

    from producers.search_output import show

    show(result, seconds, Console(highlight=False))
