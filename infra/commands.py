"""Command `lookstream config`: shows the settings."""

import sys

import typer

app = typer.Typer()


@app.command()
def config() -> None:
    """Show every setting with its variable, its value and what it means, and what the encoder reads."""
    from rich.console import Console
    from rich.table import Column, Table

    from infra.config.settings import describe_settings, read_settings
    from infra.console import report_errors
    from infra.encoder import EncoderUnavailable, reads_text
    from infra.observability.redaction import redaction

    with report_errors(EncoderUnavailable):
        console = Console(width=None if sys.stdout.isatty() else 160)
        table = Table(Column("variable", no_wrap=True), Column("value", overflow="fold"), "what it means")
        settings = read_settings()
        redact = redaction(settings)
        for setting in describe_settings(settings):
            table.add_row(setting.variable, redact(setting.value), setting.meaning)
        console.print(table)
        reads = "pictures and texts" if reads_text(settings.encoder) else "pictures alone"
        console.print(f"the encoder {settings.encoder} reads {reads}", markup=False)
