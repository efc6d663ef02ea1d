"""Fits the projections of the default encoders again: `python -m tests.evaluation.fit_defaults FOLDER...`.

Takes pictures of each folder's `train` split, or of the fashion set those whose id does not end in 0, never their
labels: no picture that an evaluation asks about, and no studio picture that it looks for. `--grey-only` keeps
the means and the axes of the projections in the folder `--out`.
"""

import csv
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import ImageOps
from rich.progress import track

from consumers.vision.crops import select_views
from infra.array_types import Floats
from infra.config.settings import TorchSettings
from infra.encoder import WEIGHTS, open_backbone
from infra.encoder.backbone import CPU_BATCH, Backbone
from infra.encoder.grey_correction import fit_grey_correction
from infra.encoder.lite import PROFILES, probe
from infra.encoder.projection import read_projection, write_projection
from infra.encoder.whitening import POWER, known_vector, whiten
from infra.images.decode import DecodeLimits, decode


def choose(folder: Path, limit: int) -> list[Path]:
    """Up to `limit` train pictures of a folder, the same ones each time."""
    table = next(folder / name for name in ("labels.csv", "products.csv") if (folder / name).is_file())
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row["image"] for row in csv.DictReader(file) if _is_train(row)]
    return [folder / image for image in random.Random(0).sample(rows, min(limit, len(rows)))]


def _is_train(row: dict[str, str]) -> bool:
    return row["split"] == "train" if "split" in row else int(row["id"]) % 10 != 0


def look_at(paths: list[Path], backbone: Backbone, *, grey: bool = False) -> Iterator[tuple[Floats, bool]]:
    """The features of each picture, or of its grey copy, and whether it is a studio picture."""
    for n in track(range(0, len(paths), CPU_BATCH), backbone.name):
        images = [decode(path.read_bytes(), DecodeLimits()).image for path in paths[n : n + CPU_BATCH]]
        images = [ImageOps.grayscale(image).convert("RGB") for image in images] if grey else images
        focus = [select_views(image) for image in images]
        views = [
            tuple(backbone.prepare(image, box) for box in where.boxes)
            for image, where in zip(images, focus, strict=True)
        ]
        yield from zip(backbone.features(views), (where.studio for where in focus), strict=True)


def fit_base(paths: list[Path], backbone: Backbone) -> dict[str, Floats]:
    """The means and the axes of both parts."""
    features, studio = (np.stack(part) for part in zip(*look_at(paths, backbone), strict=True))
    return whiten(features, studio.astype(bool), backbone)


def fit_grey(paths: list[Path], backbone: Backbone, axes: Floats) -> dict[str, Floats]:
    """The correction of grey pictures, from pictures and their own grey copies."""
    colour, grey = (
        np.stack([features for features, _ in look_at(paths, backbone, grey=copies)])[:, : backbone.object_size]
        for copies in (False, True)
    )
    return fit_grey_correction(colour, grey, axes)


def main(
    folders: Annotated[list[Path], typer.Argument(help="Folders of labelled pictures")],
    profile: Annotated[list[str] | None, typer.Option(help="fast, balanced or best; by default all")] = None,
    limit: Annotated[int, typer.Option(help="Pictures of one folder at most")] = 1500,
    grey_limit: Annotated[int, typer.Option(help="Pictures of one folder with a grey copy, at most")] = 450,
    grey_only: Annotated[bool, typer.Option("--grey-only", help="Fit the correction of grey alone")] = False,
    out: Annotated[Path, typer.Option(help="Where to write the projections")] = WEIGHTS,
) -> None:
    """Fit the projections and write them with a note of what they were fitted on."""
    chosen = {folder.name: choose(folder, limit) for folder in folders}
    copied = [path for paths in chosen.values() for path in paths[:grey_limit]]
    fitted_on = ", ".join(f"{len(paths)} train pictures of {name}" for name, paths in chosen.items())
    for name in profile or PROFILES:
        backbone = open_backbone(name, TorchSettings(precision="auto" if grey_only else "float32"))
        path = out / f"{name}.safetensors"
        if grey_only:
            tensors = read_projection(path, backbone).base_tensors
        else:
            tensors = fit_base([path for paths in chosen.values() for path in paths], backbone)
        tensors |= fit_grey(copied, backbone, tensors["object.axes"])
        tensors["known"] = known_vector(backbone, tensors, probe())
        method = f"PCA, power {POWER}; grey copies of {len(copied)}"
        write_projection(path, tensors, {"backbone": name, "fitted_on": fitted_on, "method": method})
        print(f"{path.name}: {path.stat().st_size:,} bytes, fitted on {fitted_on}")


if __name__ == "__main__":
    typer.run(main)
