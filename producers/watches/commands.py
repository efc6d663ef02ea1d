"""Watch commands: `watch add`, `list`, `remove` and `follow`."""

import sys
import uuid
from typing import TYPE_CHECKING

import typer

from infra.config.errors import BadInput
from infra.console import command_options, format_count, printable
from producers.watches.options import WatchAddOptions, WatchFollowOptions, WatchListOptions, WatchRemoveOptions

if TYPE_CHECKING:
    from producers.watches.client import WatchClient
    from schemas.searches import SearchRequest
    from schemas.watches import Watch, WatchMatched

app = typer.Typer()
watch = typer.Typer(no_args_is_help=True, help="Standing searches: report similar items when they are indexed.")
app.add_typer(watch, name="watch")

MAX_HITS = 100
"""Maximum number of present hits to count when a watch is added."""


@watch.command("add")
@command_options(WatchAddOptions)
def add(options: WatchAddOptions) -> None:
    """Add a standing search: compare a picture with every item that is indexed from now on."""
    watch_id = options.id or uuid.uuid4().hex[:12]
    if not _is_id(watch_id):
        raise BadInput(f"--id {watch_id}: use 1 to 64 letters, digits, _ . or -")
    added, result = _client().add(watch_id, _request(options), options.min_confidence)
    present = sum(hit.confidence >= options.min_confidence for hit in result.hits)
    more = " or more" if present == MAX_HITS else ""
    typer.echo(f"{added.watch_id} is active; {format_count(present, 'item', 'items')}{more} here would match it")


@watch.command("list")
@command_options(WatchListOptions)
def list_all(options: WatchListOptions) -> None:
    """Show the standing searches."""
    from schemas.envelope import to_bytes

    found = [each for each in _client().all() if options.tenant in (None, each.tenant)]
    for each in found:
        typer.echo(to_bytes(each).decode() if options.json else _watch_line(each))
    if not found and not options.json:
        typer.echo("there are no standing searches: `lookstream watch add IMAGE`", err=True)


@watch.command("remove")
@command_options(WatchRemoveOptions)
def remove(options: WatchRemoveOptions) -> None:
    """Remove standing searches."""
    unknown = _client().remove(options.tenant, options.ids)
    if unknown:
        raise BadInput(f"tenant {options.tenant} has no watch {', '.join(unknown)}: see `lookstream watch list`")


@watch.command("follow")
@command_options(WatchFollowOptions)
def follow(options: WatchFollowOptions) -> None:
    """Show the matches of standing searches as items are indexed, until Ctrl-C."""
    from schemas.envelope import to_bytes

    remaining = options.limit
    for match in _client().follow(from_start=options.from_start):
        if match is None or match.tenant != options.tenant or (options.ids and match.watch_id not in options.ids):
            continue
        typer.echo(to_bytes(match).decode() if options.json else _match_line(match))
        sys.stdout.flush()
        remaining = None if remaining is None else remaining - 1
        if remaining == 0:
            return


def _client() -> "WatchClient":
    from infra.config.settings import read_settings
    from infra.local_state import resolve_kafka_settings
    from producers.watches.client import WatchClient

    return WatchClient(resolve_kafka_settings(read_settings()))


def _request(options: WatchAddOptions) -> "SearchRequest":
    from producers.filter_syntax import parse_crop, parse_each, parse_filters
    from producers.search_output import make_request, query_of

    return make_request(
        **query_of(options.query),
        unlike=tuple(options.unlike or []),
        tenant=options.tenant,
        crop=None if options.crop is None else parse_crop(options.crop),
        intent=options.intent,
        filters=parse_filters(options.filter or []),
        any_of=parse_each("--any", options.any or []),
        none_of=parse_each("--not", options.not_ or []),
        top_k=MAX_HITS,
        restricted=options.restricted,
        deadline_ms=round(options.deadline * 1000),
    )


def _is_id(text: str) -> bool:
    from pydantic import TypeAdapter, ValidationError

    from schemas.watches import WatchId

    try:
        TypeAdapter(WatchId).validate_python(text)
    except ValidationError:
        return False
    return True


def _watch_line(each: "Watch") -> str:
    filters = each.filters.model_dump(exclude_defaults=True)
    conditions = ", ".join(f"{name}={value}" for name, value in filters.items())
    since = each.created_at.isoformat(timespec="seconds")
    return printable(f"{each.key} since {since}, at {each.min_confidence:.0%}{conditions and ', '}{conditions}")


def _match_line(match: "WatchMatched") -> str:
    hit = match.hit
    facts = " ".join(fact for fact in (hit.title, hit.category, hit.url) if fact)
    return printable(f"{match.watch_id} {hit.item_id} {hit.confidence:.0%} {facts}")
