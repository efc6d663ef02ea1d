"""Fits the default encoder's projection again: `python tests/evaluation/fit_projection.py FOLDER... --out FILE`.

Takes the `train` pictures of each folder, without their labels. The method is PCA with each axis divided by its
singular value to the power .25: full whitening is 1, none is 0 (DECISIONS.md).
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.progress import track
from safetensors.numpy import save_file

from consumers.vision.decode import Limits, decode
from infra.encoder import lite2
from infra.encoder.efficientnet import from_checkpoint
from infra.encoder.runtime import CPU_BATCH, open_runtime
from infra.settings import Torch
from tests.evaluation.labelled import Row, read_rows

SIZES = {"object": 256, "style": 64}
POWER = 0.25

Floats = NDArray[np.float32]


def choose(folder: Path, limit: int) -> list[Row]:
    """Up to `limit` train pictures of a folder, the same ones each time."""
    rows = [row for row in read_rows(folder) if row.split == "train"]
    return random.Random(0).sample(rows, min(limit, len(rows)))


def prepared(rows: list[Row]) -> Iterator[torch.Tensor]:
    """Batches of pixels, uint8 [n, 260, 260, 3]."""
    for n in track(range(0, len(rows), CPU_BATCH), "pictures"):
        few = [decode(row.path.read_bytes(), Limits()).image for row in rows[n : n + CPU_BATCH]]
        yield torch.from_numpy(np.stack([lite2.prepare(image) for image in few]))


def fit(features: Floats, size: int) -> dict[str, Floats]:
    """`mean` [d] and `axes` [d, size] of features [n, d]."""
    mean = features.mean(0)
    values, vectors = np.linalg.eigh(np.cov((features - mean).T.astype(np.float64)))
    largest = np.argsort(-values)[:size]
    # The variance is the square of the singular value. A sign is arbitrary: the largest entry is made positive.
    axes = vectors[:, largest] * np.maximum(values[largest], 1e-12) ** (-POWER / 2)
    axes *= np.sign(axes[np.abs(axes).argmax(0), np.arange(len(largest))])
    # safetensors writes the bytes as they lie, whatever the order of the axes.
    return {"mean": mean.astype(np.float32), "axes": np.ascontiguousarray(axes, np.float16)}


def known_vector(features: lite2.Features, tensors: dict[str, Floats]) -> Floats:
    """The vector of the probe picture, [320], by which a machine checks itself."""
    with torch.inference_mode():
        raw = features(torch.from_numpy(lite2.prepare(lite2.probe())[None].copy()))
    maps = [
        lite2.Axes(*(torch.from_numpy(tensors[f"{part}.{name}"]).float() for name in ("mean", "axes")))
        for part in SIZES
    ]
    return torch.cat([maps[0](raw[0]), maps[1](raw[1])], 1)[0].numpy()


def main(
    folders: Annotated[list[Path], typer.Argument(help="Folders of labelled pictures")],
    out: Annotated[Path, typer.Option(help="Where to write the projection")] = lite2.PROJECTION,
    limit: Annotated[int, typer.Option(help="Pictures of one folder at most")] = 3000,
) -> None:
    """Fit the projection and write it with a note of what it was fitted on."""
    features = lite2.Features(from_checkpoint(lite2.checkpoint()), open_runtime(Torch(precision="float32")))
    chosen = {folder.name: choose(folder, limit) for folder in folders}
    with torch.inference_mode():
        raw = [features(pixels) for pixels in prepared([row for rows in chosen.values() for row in rows])]
    tensors: dict[str, Floats] = {}
    for part, parts in zip(SIZES, zip(*raw, strict=True), strict=True):
        fitted = fit(torch.cat(parts).numpy(), SIZES[part])
        tensors |= {f"{part}.{name}": value for name, value in fitted.items()}
    tensors["known"] = known_vector(features, tensors)
    fitted_on = ", ".join(f"{len(rows)} train pictures of {name}" for name, rows in chosen.items())
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out, {"fitted_on": fitted_on, "method": f"PCA, power {POWER}", "recipe": lite2.RECIPE})
    out.chmod(0o644)
    print(f"{out}: {out.stat().st_size:,} bytes, fitted on {fitted_on}")


if __name__ == "__main__":
    typer.run(main)
