"""Fits the head of the region detector: `python -m tests.evaluation.fit_regions FOLDER`.

Draws composites of the folder's train things, on train photos of groceries and on plain grounds, and takes photos
of one garment, whose parts are no things. The network stays as it is. With 3,900 pictures, each also mirrored, it
takes some 25 minutes of one core.

The installed weights have seen as many pictures of the same kinds in two steps, as their metadata say: 12 epochs on
2,400 composites, then 5 on a part of them and all others. Of 359 things of composites they cover .96 apart and .76
partly hidden; a head that was fitted by this script with 2,400 pictures, some 1,500 composites, .88 and .73.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image
from rich.progress import track
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, dropout2d

from infra.array_types import Floats, Halves
from infra.config.settings import TorchSettings
from infra.encoder import WEIGHTS
from infra.encoder.lite import checkpoint
from infra.encoder.region_detector import SIDE, VARIANT, squeeze
from infra.encoder.region_head import RegionHead, decode_boxes
from infra.encoder.runtime import open_runtime
from infra.encoder.torch_lite import normalise_pixels, open_network
from tests.evaluation.composites import Scene, Thing, compose, read_grounds, read_picture, read_things

FIRST_SEED = 100_000
"""Seed of the first composite; those of evaluations are below."""
MOST_THINGS = 5
PLAIN_GROUNDS = 40
SIDES_BY_COUNT = {1: (0.5, 0.97), 2: (0.3, 0.65), 3: (0.25, 0.5), 4: (0.2, 0.45), 5: (0.2, 0.45)}
"""Smallest and largest longer side of a thing by the number of things, as a share of the picture's shorter side."""
ONE_THING = (0.1, 0.07, 0.9, 0.93)
"""Box of the garment in a photo of one, as shares of the sides; the photos have no boxes of their own."""
BATCH, RATE, DECAY, CHANNEL_DROPOUT = 64, 2e-3, 1e-3, 0.1
OBJECTNESS_WEIGHT = 4.0
MIDDLE_SHARE, MIN_MIDDLE = 0.25, 0.75
"""Cells whose centre is at most this share of the sides, or this many cells, from a box's centre learn the box.
The other cells inside it learn nothing."""
OUTSIDE, UNUSED = -1, -2


@dataclass(frozen=True)
class TrainPictures:
    """What the examples are made of."""

    things: Sequence[Thing]
    grounds: Sequence[Path]
    """Photos of groceries in shelves, as grounds and as pictures of no single thing."""
    plain: Sequence[Image.Image]
    """Drawn plain grounds."""
    photos: Sequence[Path]
    """Photos of one garment each."""


def read_train_pictures(data: Path) -> TrainPictures:
    """The train pictures of the folder."""
    things, grounds = read_things(data, train=True), read_grounds(data, train=True)
    plain = [draw_plain_ground(number) for number in range(PLAIN_GROUNDS)]
    return TrainPictures(things, grounds, plain, read_grounds(data, train=True, folder="clothing"))


def draw_plain_ground(seed: int) -> Image.Image:
    """A ground of one light colour, or a soft change of colours with some noise."""
    draw = np.random.default_rng(seed)
    if seed % 3 == 0:
        return Image.new("RGB", (64, 64), (int(draw.integers(235, 256)),) * 3)
    start = draw.integers(20, 256, 3)
    end = start + draw.integers(-50, 51, 3)
    down = np.linspace(0, 1, 64)[:, None, None]
    pixels = start * (1 - down) + end * down + draw.normal(0, draw.choice([0, 3, 8]), (64, 64, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def draw_train_scene(pictures: TrainPictures, seed: int) -> Scene:
    """A composite of 1 to 5 things, or a photo of one thing, or of no single thing."""
    chance = random.Random(seed)
    things, grounds, kind = pictures.things, pictures.grounds, chance.random()
    if kind < 0.2:
        return compose(things, grounds, seed, hidden=True)
    if kind < 0.4:
        return compose(things, grounds, seed)
    if kind < 0.62:
        count = chance.choice((1, 1, 2, 4, 5))
        return compose(things, grounds, seed, count=count, sides=SIDES_BY_COUNT[count])
    if kind < 0.77:
        count = chance.choice((1, 1, 1, 2, 3))
        return compose(things, pictures.plain, seed, count=count, sides=SIDES_BY_COUNT[count])
    if kind < 0.91:
        image, (left, top, right, bottom) = read_picture(chance.choice(pictures.photos)), ONE_THING
        box = left * image.width, top * image.height, right * image.width, bottom * image.height
        return Scene(image, (), (box,), ())
    return Scene(read_picture(chance.choice(grounds)), (), (), ())


def share_boxes(scene: Scene, *, is_mirrored: bool) -> Floats:
    """Boxes [5, 4] as shares of the picture's sides; zeros where there are fewer things."""
    boxes = np.zeros((MOST_THINGS, 4), np.float32)
    for number, box in enumerate(scene.boxes):
        boxes[number] = np.array(box) / (scene.image.size * 2)
        if is_mirrored:
            boxes[number, [0, 2]] = 1 - boxes[number, [2, 0]]
    return boxes


def read_examples(data: Path, count: int) -> tuple[Halves, Halves, Tensor]:
    """The maps of the composites and of their mirror images, and their boxes [n, 5, 4]."""
    runtime = open_runtime(TorchSettings())
    network = open_network(checkpoint(VARIANT), VARIANT, SIDE, runtime)
    pictures = read_train_pictures(data)
    middles, lasts, boxes = list[Halves](), list[Halves](), list[Floats]()
    for seed in track(range(FIRST_SEED, FIRST_SEED + count), "composites"):
        scene = draw_train_scene(pictures, seed)
        pixels = normalise_pixels(squeeze([scene.image]), runtime)
        with torch.inference_mode():
            maps = network(torch.cat([pixels, pixels.flip(3)]))
        middles.append(maps.middle.half().numpy())
        lasts.append(maps.last.half().numpy())
        boxes += [share_boxes(scene, is_mirrored=is_mirrored) for is_mirrored in (False, True)]
    return np.concatenate(middles), np.concatenate(lasts), torch.from_numpy(np.stack(boxes))


def assign_cells(boxes: Tensor, cells: int) -> Tensor:
    """Number of the box [n, 5, 4] that each of cells x cells learns, the smallest of several; OUTSIDE or UNUSED."""
    centres = (torch.arange(cells) + 0.5) / cells
    y, x = centres[None, None, :, None], centres[None, None, None, :]
    left, top, right, bottom = (boxes[:, :, side, None, None] for side in range(4))
    width, height = right - left, bottom - top
    near_x, near_y = (torch.clamp(side * MIDDLE_SHARE, min=MIN_MIDDLE / cells) for side in (width, height))
    exists = width > 0
    is_middle = exists & ((x - (left + right) / 2).abs() < near_x) & ((y - (top + bottom) / 2).abs() < near_y)
    is_inside = exists & (x > left) & (x < right) & (y > top) & (y < bottom)
    areas, numbers = torch.where(is_middle, width * height, torch.inf).min(1)
    return torch.where(areas < torch.inf, numbers, torch.where(is_inside.any(1), UNUSED, OUTSIDE))


def generalised_overlaps(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union of boxes [n, 4] with others [n, 4], and its generalised form.

    Source: Rezatofighi et al., Generalized intersection over union, 2019 (arXiv 1902.09630).
    """
    sides = (torch.minimum(boxes[:, 2:], others[:, 2:]) - torch.maximum(boxes[:, :2], others[:, :2])).clamp_min(0)
    shared = sides.prod(1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (others[:, 2:] - others[:, :2]).prod(1) - shared
    hull = (torch.maximum(boxes[:, 2:], others[:, 2:]) - torch.minimum(boxes[:, :2], others[:, :2])).prod(1)
    overlaps = shared / union.clamp_min(1e-9)
    return overlaps, overlaps - (hull - union) / hull.clamp_min(1e-9)


def head_loss(output: Tensor, boxes: Tensor) -> Tensor:
    """Loss of the head's output [n, 5, h, h] for the boxes [n, 5, 4]: quality focal loss, and that of the boxes."""
    logits, found = decode_boxes(output)
    numbers = assign_cells(boxes, logits.shape[-1])
    learns = numbers >= 0
    picture = torch.nonzero(learns)[:, 0]
    overlaps, generalised = generalised_overlaps(found[learns], boxes[picture, numbers[learns]])
    quality = torch.zeros_like(logits)
    quality[learns] = overlaps.detach().clamp(0, 1)
    weights = (quality - torch.sigmoid(logits)).square().detach() * (numbers != UNUSED)
    entropy = binary_cross_entropy_with_logits(logits, quality, reduction="none")
    objectness = (entropy * weights).sum() / learns.sum().clamp_min(1)
    return OBJECTNESS_WEIGHT * objectness + (1 - generalised).mean()


def train_head(examples: tuple[Halves, Halves, Tensor], epochs: int) -> RegionHead:
    """A head fitted to the examples; the same seed gives the same head on the same machine."""
    torch.manual_seed(0)
    middles, lasts, boxes = examples
    head, steps = RegionHead(), len(boxes) // BATCH
    optimiser = torch.optim.AdamW(head.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=epochs * steps, pct_start=0.1)
    for epoch in range(1, epochs + 1):
        losses = []
        for rows in torch.randperm(len(boxes))[: steps * BATCH].view(steps, BATCH).numpy():
            middle, last = (torch.from_numpy(maps[rows]).float() for maps in (middles, lasts))
            loss = head_loss(head(middle, dropout2d(last, CHANNEL_DROPOUT)), boxes[rows])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch}: loss {np.mean(losses):.4f}", flush=True)
    return head


def main(
    data: Annotated[Path, typer.Argument(help="Folder with grocery/ and fashion/")],
    count: Annotated[int, typer.Option(help="Pictures")] = 3_900,
    epochs: Annotated[int, typer.Option()] = 12,
    out: Annotated[Path, typer.Option(help="File of the weights")] = WEIGHTS / "regions.safetensors",
) -> None:
    """Fit the head and write its weights in float16."""
    head = train_head(read_examples(data, count), epochs)
    weights = {name: value.half().contiguous() for name, value in head.state_dict().items()}
    fitted_on = f"{count} pictures that were made of train pictures of {data.resolve().name}"
    save_file(weights, out, {"fitted_on": fitted_on})
    print(f"{out.name}: {out.stat().st_size:,} bytes, fitted on {fitted_on}")


if __name__ == "__main__":
    typer.run(main)
