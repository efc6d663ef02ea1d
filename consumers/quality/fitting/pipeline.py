"""From rows to an encoder folder: look at the pictures, fit, write, and say what came of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.setup import progress_on
from consumers.quality.fitting.feature_store import ImageFeatures, open_feature_store, stack_features
from consumers.quality.fitting.fit import FitResult, FitSetup, fit_base, fit_head
from consumers.quality.fitting.output_folder import new_folder
from consumers.quality.fitting.report import FitReport, as_document, show
from consumers.vision.decode import DecodeLimits
from infra.config.settings import Settings
from infra.console import BadInput, printable
from infra.encoder import FITTED, backbone_name, open_parts
from infra.encoder.heads import Recipe
from infra.encoder.lite import probe
from infra.encoder.projection import write_projection
from infra.encoder.runtime import Backbone
from infra.encoder.whitening import POWER, known_vector


@dataclass(frozen=True)
class FitRequest:
    """What is to be fitted how, and where to; features are kept in the folder `cache`."""

    encoder: str
    out: Path
    recipe: Recipe
    validation: float
    cache: Path


def run_fit(rows: Sequence[LabelledImage], order: FitRequest, settings: Settings, console: Console) -> FitResult:
    """Fit an encoder on the rows and write its folder; raises BadInput or EncoderUnavailable.

    A head is fitted when every row has a label.
    """
    track = progress_on(console)
    backbone, projection = open_parts(order.encoder, settings.torch)
    limits = DecodeLimits(settings.images.max_bytes, settings.images.max_pixels, thumbnail=0)
    with open_feature_store(order.cache, backbone, limits) as gaze:
        looks = list(zip(rows, gaze.look_at(rows, track), strict=True))
    seen = [(row, look) for row, look in looks if isinstance(look, ImageFeatures)]
    unreadable = [f"{row.image} ({look})" for row, look in looks if not isinstance(look, ImageFeatures)]
    if len(seen) < 2:
        some = f": {printable(unreadable[0])}" if unreadable else ""
        raise BadInput(f"{len(seen)} of {len(rows)} pictures can be read{some}; give two at least")
    gallery = stack_features([look for _, look in seen])
    kit = FitSetup(backbone, projection.base_tensors, order.recipe, order.validation, track)
    labels = [row.label for row, _ in seen]
    fitted = fit_head(gallery, labels, kit) if all(labels) else fit_base(gallery, kit)
    fitting = FitReport(backbone.name, len(seen), int(gallery.studio.sum()), unreadable, order.recipe.seed)
    _write(fitting, fitted, backbone, order)
    show(fitting, fitted, console)
    console.print(f"wrote {order.out}: set LOOKSTREAM_ENCODER={order.out} to use it", markup=False, soft_wrap=True)
    if fitted.head and not _can_draw():
        console.print("no curves.png without matplotlib: pip install 'lookstream[fit]'", markup=False)
    return fitted


def _write(fitting: FitReport, fitted: FitResult, backbone: Backbone, order: FitRequest) -> None:
    # No date among these: the same pictures and seed give the same bytes, and so the same fingerprint.
    said = {
        "backbone": backbone_name(order.encoder),
        "fitted_on": fitting.sentence(fitted),
        "method": f"PCA, power {POWER}, axes {fitted.base}"
        + (", supervised contrastive head" if fitted.head else ""),
        "seed": str(order.recipe.seed),
    }
    tensors = fitted.tensors | {"known": known_vector(backbone, fitted.tensors, probe())}
    with new_folder(order.out) as folder:
        write_projection(folder / FITTED, tensors, said)
        document = as_document(fitting, fitted)
        (folder / "report.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        if fitted.head and _can_draw():
            from consumers.quality.fitting.plots import draw_curves

            draw_curves(fitted.head, folder / "curves.png")


def _can_draw() -> bool:
    return find_spec("matplotlib") is not None
