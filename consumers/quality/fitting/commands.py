"""Fit command: `lookstream fit` fits an encoder on a catalogue's pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from infra.console import command_options

app = typer.Typer()


@dataclass(frozen=True)
class FitOptions:
    """Options of `fit`."""

    source: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER|CSV",
            help="Pictures in sub-folders, which are their labels, or a CSV with the column `image`.",
            show_default=False,
        ),
    ]
    out: Annotated[Path, typer.Option(help="The encoder folder to write.", show_default=False)]
    image_root: Annotated[
        Path | None, typer.Option(help="Folder that the CSV's paths start from; else its own.", show_default=False)
    ] = None
    label: Annotated[
        str | None, typer.Option(help="Column of the label; `label` where there is one.", show_default=False)
    ] = None
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="Take these rows only, as split=train.", show_default=False),
    ] = None
    encoder: Annotated[
        str, typer.Option(help="best, balanced, fast, an encoder folder, or a Hugging Face image model.")
    ] = "best"
    limit: Annotated[int, typer.Option(min=0, help="Take this many pictures at most, at random; 0: all.")] = 0
    validation: Annotated[
        float, typer.Option(min=0.05, max=0.5, help="Share of each label's pictures to choose by.")
    ] = 0.15
    epochs: Annotated[int, typer.Option(min=1, max=1_000, help="Maximum number of epochs.")] = 60
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random choices.")] = 0
    cache: Annotated[
        Path | None, typer.Option(help="Cache of features; default: in LOOKSTREAM_DATA.", show_default=False)
    ] = None
    force: Annotated[bool, typer.Option("--force", help="Replace the encoder in --out.")] = False


@app.command()
@command_options(FitOptions)
def fit(options: FitOptions) -> None:
    """Fit an encoder to your catalogue with labelled pictures; LOOKSTREAM_ENCODER then names it."""
    from consumers.quality.evaluation.labelled_dataset import sample
    from consumers.quality.fitting.dataset import DatasetOptions, read_dataset
    from consumers.quality.fitting.output_folder import check_out
    from consumers.quality.fitting.pipeline import FitRequest, run_fit
    from infra.config.settings import read_settings
    from infra.console import error_console, report_errors
    from infra.encoder import EncoderUnavailable
    from infra.encoder.heads import Recipe

    check_out(options.out, force=options.force)
    dataset = DatasetOptions(options.source, options.image_root, options.label, tuple(options.where or ()))
    rows = sample(read_dataset(dataset), options.limit, options.seed)
    recipe = Recipe(epochs=options.epochs, seed=options.seed)
    settings = read_settings()
    request = FitRequest(
        options.encoder, options.out, recipe, options.validation, options.cache or settings.data / "looks"
    )
    with report_errors(EncoderUnavailable):
        run_fit(rows, request, settings, error_console())
