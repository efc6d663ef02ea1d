"""Reindex commands: change the encoder of a running system, roll back, and drop the old index."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.config.errors import BadInput
from infra.console import FAILED, command_options, error_console, print_error, report_errors

if TYPE_CHECKING:
    from consumers.indexing.backfill import BackfillProgress
    from consumers.operations.reindex.migration import Migration
    from consumers.operations.reindex.shadow_queries import ShadowMeasures

app = typer.Typer()
reindex = typer.Typer(help="Change the encoder while the system serves.", invoke_without_command=True)
app.add_typer(reindex, name="reindex")


@reindex.callback()
def change(
    context: typer.Context,
    encoder: Annotated[
        str | None, typer.Option(help="The new encoder, a value of LOOKSTREAM_ENCODER.", show_default=False)
    ] = None,
    gate: Annotated[
        Path | None,
        typer.Option(help="TOML file with the limits that the new index must meet.", show_default=False),
    ] = None,
    queries: Annotated[
        int, typer.Option(min=1, max=10_000, help="Number of shadow queries that compare both.")
    ] = 200,
) -> None:
    """Fill a second index with another encoder, compare it with the serving one, and switch to it if it passes.

    Safe to stop and to run again: it continues where it stopped. `rollback` switches back to the old index, `drop`
    removes the one that does not serve.
    """
    if context.invoked_subcommand is not None:
        return
    with report_errors(*_encoder_errors()), _open_migration() as migration:
        if encoder is None:
            raise BadInput("--encoder: name the new one; `lookstream reindex status` shows what there is")
        from consumers.operations.reindex.acceptance_gate import AcceptanceGate, gate_violations, read_gate

        limits = read_gate(gate) if gate else AcceptanceGate()
        name = str(Path(encoder).resolve()) if Path(encoder).is_dir() else encoder
        serving, other = migration.begin(name)
        progress = migration.fill(serving.index, other.index)
        old, new = migration.weigh(serving, other, queries)
        _print_measures(old, new, progress)
        reasons = gate_violations(limits, old, new, progress.missing)
        if not reasons:
            number = migration.switch().number
    if reasons:
        print_error(f"the gate rejects the new index: {'; '.join(reasons)}. The old index continues to serve")
        raise typer.Exit(FAILED)
    typer.echo(f"index {number} serves, with {name}; `lookstream reindex rollback` goes back, `drop` ends it")


@reindex.command("rollback")
def rollback() -> None:
    """Switch back to the other index, which has been kept up to date."""
    with report_errors(), _open_migration() as migration:
        generation = migration.back()
    typer.echo(f"index {generation.number} serves, with {generation.encoder}")


@reindex.command("drop")
def drop() -> None:
    """Remove the index that does not serve."""
    with report_errors(), _open_migration() as migration:
        generation = migration.drop()
    typer.echo(f"index {generation.number} of {generation.encoder} is gone")


@dataclass(frozen=True)
class ReindexStatusOptions:
    """Options of `reindex status`."""

    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False


@reindex.command("status")
@command_options(ReindexStatusOptions)
def status(options: ReindexStatusOptions) -> None:
    """Show the indexes, and how far a new one is filled."""
    with _open_migration(exclusive=False) as migration:
        indexes = migration.status()
    if options.json:
        typer.echo(json.dumps(indexes))
        return
    for index in indexes:
        typer.echo("  ".join(f"{name} {value}" for name, value in index.items() if value not in (None, [])))


def _print_measures(old: "ShadowMeasures", new: "ShadowMeasures", progress: "BackfillProgress") -> None:
    from rich.table import Table

    table = Table("measure", "serving", "new")
    old_values = asdict(old)
    for name, value in asdict(new).items():
        table.add_row(name, *map(_format_measure, (old_values[name], value)))
    error_console().print(table)
    missing = ", ".join(progress.named)
    text = (
        f"{progress.filled} items were filled in, the others came from the topics; {progress.missing} are missing"
    )
    error_console().print(f"{text}: {missing}" if missing else text)


def _format_measure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".removesuffix(".000")


def _encoder_errors() -> tuple[type[Exception], ...]:
    from infra.encoder import EncoderUnavailable
    from infra.qdrant.contract import EncoderDiffers, EngineError

    return EncoderUnavailable, EncoderDiffers, EngineError


@contextmanager
def _open_migration(*, exclusive: bool = True) -> "Iterator[Migration]":
    """Open the migration of the settings' system. `exclusive` locks out other reindex commands."""
    from contextlib import nullcontext

    from consumers.operations.reindex.migration import Migration, migration_lock
    from infra.config.settings import read_settings

    settings = read_settings()
    with (
        closing(Migration(settings, error_console())) as migration,
        migration_lock(settings.data) if exclusive else nullcontext(),
    ):
        yield migration
