"""`lookstream reindex`: change the encoder of a running system, and the way back."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.console import FAILED, BadInput, complain, error_console, plain_errors, takes

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
        str | None, typer.Option(help="The new encoder, as LOOKSTREAM_ENCODER names them.", show_default=False)
    ] = None,
    gate: Annotated[
        Path | None, typer.Option(help="TOML file of what the new index must come to.", show_default=False)
    ] = None,
    queries: Annotated[int, typer.Option(min=1, max=10_000, help="Shadow queries to weigh both by.")] = 200,
) -> None:
    """Fill a second index by another encoder, weigh it against the one that serves, and have it serve if it passes.

    Safe to stop and to run again: what is filled stays. `rollback` has the old one serve again, `drop` removes the
    one that does not serve.
    """
    if context.invoked_subcommand is not None:
        return
    with plain_errors(*_encoder_errors()), _change() as at:
        if encoder is None:
            raise BadInput("--encoder: name the new one; `lookstream reindex status` shows what there is")
        from consumers.operations.reindex.acceptance_gate import AcceptanceGate, held_up, read_gate

        limits = read_gate(gate) if gate else AcceptanceGate()
        name = str(Path(encoder).resolve()) if Path(encoder).is_dir() else encoder
        serving, other = at.begin(name)
        filled = at.fill(serving.index, other.index)
        old, new = at.weigh(serving, other, queries)
        _show(old, new, filled)
        reasons = held_up(limits, old, new, filled.missing)
        if not reasons:
            number = at.switch().number
    if reasons:
        complain(f"the gate holds: {'; '.join(reasons)}. The old index goes on to serve")
        raise typer.Exit(FAILED)
    typer.echo(f"index {number} serves, with {name}; `lookstream reindex rollback` goes back, `drop` ends it")


@reindex.command("rollback")
def rollback() -> None:
    """Have the other index serve again, which has been kept up to date all the while."""
    with plain_errors(), _change() as at:
        back = at.back()
    typer.echo(f"index {back.number} serves, with {back.encoder}")


@reindex.command("drop")
def drop() -> None:
    """Remove the index that does not serve."""
    with plain_errors(), _change() as at:
        gone = at.drop()
    typer.echo(f"index {gone.number} of {gone.encoder} is gone")


@dataclass(frozen=True)
class ReindexStatusOptions:
    """What `reindex status` is told."""

    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False


@reindex.command("status")
@takes(ReindexStatusOptions)
def status(options: ReindexStatusOptions) -> None:
    """Show the indexes that there are, and how far a new one was filled."""
    with _change(alone=False) as at:
        told = at.status()
    if options.json:
        typer.echo(json.dumps(told))
        return
    for index in told:
        typer.echo("  ".join(f"{name} {value}" for name, value in index.items() if value not in (None, [])))


def _show(old: "ShadowMeasures", new: "ShadowMeasures", filled: "BackfillProgress") -> None:
    from rich.table import Table

    table = Table("measure", "serving", "new")
    before = asdict(old)
    for name, value in asdict(new).items():
        table.add_row(name, *map(_shown, (before[name], value)))
    error_console().print(table)
    missing = ", ".join(filled.named)
    text = f"{filled.filled} items were filled in, the others came from the topics; {filled.missing} are missing"
    error_console().print(f"{text}: {missing}" if missing else text)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".removesuffix(".000")


def _encoder_errors() -> tuple[type[Exception], ...]:
    from infra.encoder import EncoderUnavailable
    from infra.qdrant.contract import EncoderDiffers, EngineError

    return EncoderUnavailable, EncoderDiffers, EngineError


@contextmanager
def _change(*, alone: bool = True) -> "Iterator[Migration]":
    """What can be done here; no other command may change anything meanwhile, unless this one only looks."""
    from contextlib import nullcontext

    from consumers.operations.reindex.migration import Migration, sole_change
    from infra.config.settings import read_settings

    settings = read_settings()
    with (
        closing(Migration(settings, error_console())) as at,
        sole_change(settings.data) if alone else nullcontext(),
    ):
        yield at
