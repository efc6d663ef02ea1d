"""Evaluation files: reads the pictures that the options of `evaluate` name, and writes the files that they name."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from consumers.quality.evaluation.datasets.formats import open_dataset
from consumers.quality.evaluation.datasets.selection import select
from consumers.quality.evaluation.failure_sheet import draw_failures, worst_failures
from consumers.quality.evaluation.labelled_dataset import (
    LabelColumns,
    LabelledImage,
    parse_source,
    read_rows,
    sample,
)
from consumers.quality.evaluation.rankings import PAGE
from consumers.quality.evaluation.run import EvaluationInput, EvaluationOutput
from consumers.quality.evaluation.trec import write_qrels, write_run
from infra.config.errors import BadInput

if TYPE_CHECKING:
    from consumers.quality.evaluation.commands import EvaluateOptions


def check_outputs(options: "EvaluateOptions") -> None:
    """Raise BadInput for a file that cannot be written, before the evaluation, which may take hours."""
    for name, file in (("--sheet", options.sheet), ("--run", options.run), ("--qrels", options.qrels)):
        if file is not None and (file.is_dir() or not file.parent.is_dir()):
            raise BadInput(f"{name} {file} cannot be written: name a file in a folder that exists")


def read_input(options: "EvaluateOptions") -> EvaluationInput:
    """The pictures of the tables or of the public set. Raises BadInput when the options do not fit together."""
    if options.dataset is not None:
        data = _read_dataset(options, options.dataset)
    elif options.catalog is None or options.queries is None or options.split or options.format:
        raise BadInput(
            "name the pictures: either --catalog and --queries with tables, or --dataset with the folder of a set, "
            "which --split and --format belong to"
        )
    else:
        columns = LabelColumns(options.label, options.category, options.colour, tuple(options.same or ()))
        catalogue, queries = (
            _read_table(options, text, columns, options.image_root) for text in (options.catalog, options.queries)
        )
        data = EvaluationInput(catalogue, queries, same=columns.same)
    off_topic = _read_table(options, options.off_topic, LabelColumns(None), None) if options.off_topic else ()
    return replace(
        data, off_topic_images=off_topic, robustness=options.robustness, coverage=options.coverage,
        seed=options.seed, rank_depth=PAGE if options.run else 0,
    )  # fmt: skip


def _read_dataset(options: "EvaluateOptions", folder: Path) -> EvaluationInput:
    if any((options.catalog, options.queries, options.image_root, options.category, options.colour, options.same)):
        raise BadInput("--dataset reads all from the set: leave out the tables, --image-root and the columns")
    dataset = open_dataset(folder, options.split, options.format)
    chosen = select(dataset, options.limit, options.seed)
    if options.limit:
        rule = f"{dataset.rule}; a sample (--limit {options.limit}), which is easier than the whole set"
        dataset = replace(dataset, rule=rule)
    return EvaluationInput(
        chosen.catalogue, chosen.queries, dataset=dataset, qrels=chosen.qrels, skipped=chosen.skipped
    )


def _read_table(
    options: "EvaluateOptions", text: str, columns: LabelColumns, root: Path | None
) -> list[LabelledImage]:
    """The rows of a table, or a sample of them; without a root, pictures are below the table's folder."""
    return sample(read_rows(parse_source(text), columns, root), options.limit, options.seed)


def write_outputs(options: "EvaluateOptions", output: EvaluationOutput) -> None:
    """Write the sheet of failures, the run and the qrels, as far as they are named. Raises BadInput."""
    if options.sheet is not None:
        try:
            draw_failures(worst_failures(output.trial, output.results, output.relevance)).save(options.sheet, "PNG")
        except OSError as error:
            raise BadInput(f"--sheet {options.sheet} cannot be written: {error.strerror}") from None
    if options.run is not None and output.rankings is not None:
        write_run(options.run, output.trial, output.rankings, output.figures.encoder)
    if options.qrels is not None:
        write_qrels(options.qrels, output.trial)
