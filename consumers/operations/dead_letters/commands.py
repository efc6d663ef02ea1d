"""Dead-letter commands: list, show, stats and replay; and save, which `lookstream up` runs when it stops."""

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.config.errors import BadInput
from infra.console import INTERRUPTED, command_options, format_count, printable

if TYPE_CHECKING:
    from collections.abc import Collection

    from rich.console import Console

    from consumers.operations.dead_letters.dead_letter import DeadLetter
    from consumers.operations.dead_letters.replay_plan import ReplayPlan
    from consumers.operations.dead_letters.selection import Selection
    from consumers.operations.dead_letters.store import DeadLetterStore
    from infra.config.settings import Settings
    from infra.observability.redaction import Redact

app = typer.Typer()
dead_letters = typer.Typer(help="Show and replay the records that were rejected.", no_args_is_help=True)
app.add_typer(dead_letters, name="dead-letters")

MAX_REASONS = 20
"""Maximum number of reasons for skipped letters that are printed."""

CodesOption = Annotated[
    list[str] | None, typer.Option("--code", help="Only those with this code; may be repeated.", show_default=False)
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="Only those refused since: 30m, 2h, 3d, or an ISO time (UTC).", show_default=False
    ),
]
Key = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Only this item key, tenant:item_id; a trailing * matches a prefix."),
]
LetterLimit = Annotated[int | None, typer.Option(min=1, help="Maximum number of dead letters.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]


@dataclass(frozen=True)
class DeadLetterListOptions:
    """Options of `list` and `stats`."""

    code: CodesOption = None
    since: Since = None
    key: Key = None
    limit: LetterLimit = None
    json: JsonOption = False


@dataclass(frozen=True)
class ShowOptions:
    """Options of `show`."""

    position: Annotated[str, typer.Argument(metavar="TOPIC/PARTITION/OFFSET", help="As `list` prints it.")]
    raw: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File for the value of the record.", show_default=False)
    ] = None


@dataclass(frozen=True)
class ReplayOptions:
    """Options of `replay`."""

    code: CodesOption = None
    since: Since = None
    key: Key = None
    limit: LetterLimit = None
    rate: Annotated[float, typer.Option(min=0.01, max=10_000, help="Maximum number of records per second.")] = 50
    again: Annotated[bool, typer.Option("--again", help="Also those that were replayed before.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan, and send nothing.")] = False


@dead_letters.command("list")
@command_options(DeadLetterListOptions)
def list_(options: DeadLetterListOptions) -> None:
    """List dead letters, the newest first: those in Kafka, and those that earlier local runs left behind."""
    from consumers.operations.dead_letters.rendering import letter_fields, letters_table
    from infra.observability.redaction import redaction

    selection = _selection(options)
    settings, store = _open()
    letters, replayed, redact = selection.newest(_letters(store)), store.replayed(), redaction(settings)
    if options.json:
        for letter in letters:
            typer.echo(json.dumps(letter_fields(letter, replayed, redact)))
    else:
        _console().print(letters_table(letters, replayed, redact) if letters else "no dead letters")


@dead_letters.command("show")
@command_options(ShowOptions)
def show(options: ShowOptions) -> None:
    """Show one dead letter: why it was refused, its headers, and its event with pictures cut short."""
    from consumers.operations.dead_letters.rendering import print_letter
    from infra.observability.redaction import redaction

    settings, store = _open()
    letter = _find(store, options.position)
    if options.raw is not None:
        _write_value(options.raw, letter)
    print_letter(letter, store.replayed(), redaction(settings), _console())


@dead_letters.command("stats")
@command_options(DeadLetterListOptions)
def stats(options: DeadLetterListOptions) -> None:
    """Count dead letters by code, topic, hour and worker, with the commonest message of each code."""
    from consumers.operations.dead_letters.rendering import stats_tables
    from consumers.operations.dead_letters.stats import count_letters
    from infra.observability.redaction import redact_all, redaction

    selection = _selection(options)
    settings, store = _open()
    counts, redact = count_letters(selection.newest(_letters(store))), redaction(settings)
    if options.json:
        typer.echo(json.dumps(redact_all(counts.to_json(), redact)))
    else:
        for table in stats_tables(counts, redact):
            _console().print(table)


@dead_letters.command("replay")
@command_options(ReplayOptions)
def replay(options: ReplayOptions) -> None:
    """Send dead letters to their source topics again, the oldest first, with the revisions that they had.

    Newer events keep their effect. Skipped are search requests, letters that were replayed before, letters that are
    a week old, and events that are older than the state in the index. Each replay is recorded in the topic
    dead-letters.audit.
    """
    from consumers.operations.dead_letters.replay import ReplayTally
    from consumers.operations.dead_letters.replay_run import make_plan, run_plan
    from infra.observability.redaction import redaction

    selection, tally = _selection(options), ReplayTally()
    settings, store = _open()
    if store.kafka is None:
        raise BadInput(f"nothing runs on {settings.data}: start `lookstream up`, then replay")
    plan = make_plan(settings, store, selection, again=options.again)
    redact = redaction(settings)
    _print_skipped(plan, redact)
    if options.dry_run:
        for letter in plan.send.values():
            typer.echo(printable(f"{letter.position} {letter.code} {redact.name(letter.key_text or '')}"))
        _print_message(f"would replay {format_count(len(plan.send), 'letter', 'letters')}; nothing was sent")
        return
    try:
        run_plan(store, store.kafka, plan, options.rate, tally)
    finally:
        _print_message(f"{'stopped: ' if tally.interrupted else ''}replayed {tally.sent} of {len(plan.send)}")
    sys.exit(INTERRUPTED if tally.interrupted else 0)


@dead_letters.command("save", hidden=True)
def save() -> None:
    """Store the open dead letters of the local broker, which keeps none, in a file; `up` does so when it stops."""
    from infra.console import report_errors

    with report_errors():
        _, store = _open()
        count_letters = store.save()
        if count_letters and store.local_file:
            _print_message(
                f"kept {format_count(count_letters, 'dead letter', 'dead letters')} in {store.local_file.path}"
            )


def _open() -> "tuple[Settings, DeadLetterStore]":
    from consumers.operations.dead_letters.store import open_store
    from infra.config.settings import read_settings

    settings = read_settings()
    return settings, open_store(settings)


def _selection(options: DeadLetterListOptions | ReplayOptions) -> "Selection":
    from consumers.operations.dead_letters.selection import parse_selection

    return parse_selection(options.code, options.since, options.key, options.limit, datetime.now(UTC))


def _letters(store: "DeadLetterStore") -> "Collection[DeadLetter]":
    """The latest version of every letter, without values."""
    from consumers.operations.dead_letters.dead_letter import latest
    from consumers.operations.dead_letters.replay_run import with_progress

    return latest(with_progress(store.letters())).values()


def _find(store: "DeadLetterStore", name: str) -> "DeadLetter":
    """The letter at this position or with this id, with its value; raises BadInput unless there is exactly one."""
    matches = {letter.id: letter for letter in store.letters() if name in (letter.position, letter.id)}
    if not matches:
        raise BadInput(
            f"there is no dead letter {name[:300]}: `lookstream dead-letters list` names those there are"
        )
    if len(matches) > 1:
        raise BadInput(
            f"several dead letters are from {name[:300]}, as topics were recreated: name one of "
            f"{', '.join(sorted(matches))}"
        )
    return matches.popitem()[1]


def _write_value(file: Path, letter: "DeadLetter") -> None:
    if letter.value is None:
        raise BadInput(f"{letter.position} has no value to write: it deletes the item of its key")
    try:
        file.write_bytes(letter.value)
    except OSError as error:
        raise BadInput(f"--raw {file} cannot be written: {error.strerror}") from None


def _print_skipped(plan: "ReplayPlan", redact: "Redact") -> None:
    """Print how many letters a replay skips, by reason."""
    from collections import Counter

    kinds = Counter(skipped.reason for skipped in plan.skipped).most_common()
    for reason, count_letters in kinds[:MAX_REASONS]:
        _print_message(printable(redact(f"skipped, {format_count(count_letters, 'letter', 'letters')}: {reason}")))
    if len(kinds) > MAX_REASONS:
        _print_message(
            f"skipped, {sum(count_letters for _, count_letters in kinds[MAX_REASONS:])} more for other reasons"
        )
    if plan.left:
        _print_message(f"not replayed because of --limit: {format_count(plan.left, 'letter', 'letters')}")


def _print_message(text: str) -> None:
    typer.echo(text, err=True)


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 200)
