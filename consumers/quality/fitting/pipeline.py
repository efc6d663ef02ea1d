"""Fit pipeline: extracts features, fits, writes the encoder folder, and prints the report."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from consumers.quality.evaluation.failure_sheet import draw_failures
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.setup import progress_on
from consumers.quality.fitting.feature_store import ImageFeatures, open_feature_store, stack_features
from consumers.quality.fitting.fit import FitResult, FitSetup, fit_base, fit_head
from consumers.quality.fitting.output_folder import new_folder
from consumers.quality.fitting.report import FitReport, as_document, print_report
from infra.config.errors import BadInput
from infra.config.settings import Settings
from infra.console import printable
from infra.encoder import FITTED, backbone_name, open_parts
from infra.encoder.backbone import Backbone
from infra.encoder.heads import Recipe
from infra.encoder.lite import probe
from infra.encoder.projection import write_projection
from infra.encoder.whitening import POWER, known_vector
from infra.images.decode import DecodeLimits


@dataclass(frozen=True)
class FitRequest:
    """The encoder to start from, the folder to write, the training options, and the folder of cached features."""

    encoder: str
    out: Path
    recipe: Recipe
    validation: float
    cache: Path


def run_fit(rows: Sequence[LabelledImage], request: FitRequest, settings: Settings, console: Console) -> FitResult:
    """Fit an encoder on the rows and write its folder; raises BadInput or EncoderUnavailable.

    A head is fitted when every row has a label.
    """
    track = progress_on(console)
    backbone, projection = open_parts(request.encoder, settings.torch)
    limits = DecodeLimits(settings.images.max_bytes, settings.images.max_pixels, thumbnail=0)
    with open_feature_store(request.cache, backbone, limits) as store:
        extracted = list(zip(rows, store.extract(rows, track), strict=True))
    readable = [(row, features) for row, features in extracted if isinstance(features, ImageFeatures)]
    unreadable = [f"{row.image} ({reason})" for row, reason in extracted if not isinstance(reason, ImageFeatures)]
    if len(readable) < 2:
        example = f": {printable(unreadable[0])}" if unreadable else ""
        raise BadInput(f"{len(readable)} of {len(rows)} pictures can be read{example}; give two at least")
    gallery, images = stack_features([features for _, features in readable]), [row for row, _ in readable]
    setup = FitSetup(backbone, projection.base_tensors, request.recipe, request.validation, track)
    labels = [image.label for image in images]
    result = fit_head(gallery, labels, setup) if all(labels) else fit_base(gallery, setup)
    confusions = [confusion.describe(images) for confusion in result.confusions]
    report = FitReport(
        backbone.name, len(images), int(gallery.studio.sum()), unreadable, request.recipe.seed, confusions
    )
    with new_folder(request.out) as folder:
        _write_encoder(folder / FITTED, report, result, backbone, request)
        _write_report(folder, report, result, images)
    print_report(report, result, console)
    console.print(
        f"wrote {request.out}: set LOOKSTREAM_ENCODER={request.out} to use it", markup=False, soft_wrap=True
    )
    if result.head and not _has_matplotlib():
        console.print("no curves.png without matplotlib: pip install 'lookstream[fit]'", markup=False)
    return result


def _write_encoder(
    file: Path, report: FitReport, result: FitResult, backbone: Backbone, request: FitRequest
) -> None:
    # The metadata has no date: the same pictures and seed give the same bytes, and so the same fingerprint.
    metadata = {
        "backbone": backbone_name(request.encoder),
        "fitted_on": report.describe_data(result),
        "method": f"PCA, power {POWER}, axes {result.base}"
        + (", supervised contrastive head" if result.head else ""),
        "seed": str(request.recipe.seed),
    }
    tensors = result.tensors | {"known": known_vector(backbone, result.tensors, probe())}
    write_projection(file, tensors, metadata)


def _write_report(folder: Path, report: FitReport, result: FitResult, images: Sequence[LabelledImage]) -> None:
    """Write report.json, the examples of confusions and, if matplotlib is installed, the curves."""
    document = as_document(report, result)
    (folder / "report.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if result.confusions:
        examples = [confusion.example(images) for confusion in result.confusions]
        draw_failures(examples).save(folder / "confusions.png")
    if result.head and _has_matplotlib():
        from consumers.quality.fitting.plots import draw_curves

        draw_curves(result.head, folder / "curves.png")


def _has_matplotlib() -> bool:
    return find_spec("matplotlib") is not None
