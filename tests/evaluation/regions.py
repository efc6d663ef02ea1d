"""Evaluates searches with `objects`: `python -m tests.evaluation.regions FOLDER`.

- Boxes: the share of the things of composites that a region covers with an intersection over union of .5 or more.
- Found: the share of the things that are among the first five hits of the region that covers them best.
- Whole: the share of photos of a single thing for which `auto` answers for the whole alone.

The catalogue holds every studio picture from which the composites are made, and no other picture of those things.
"""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import track

from consumers.vision.colour import make_colour_extractor
from consumers.vision.embedder import EmbedOptions, ImageEmbedder
from consumers.vision.look import Look, RegionLook
from consumers.vision.look_vector import weight_look
from consumers.workers.resources import find_detector
from infra.array_types import Box, Doubles, Floats
from infra.config.settings import TorchSettings
from infra.cores import available_cores
from infra.encoder import open_encoder
from infra.encoder.region_detector import overlaps
from infra.images.decode import DecodeLimits
from schemas.items import Objects
from schemas.ranking import INTENTS
from tests.evaluation.composites import Scene, compose, read_grounds, read_table, read_things

BATCH, MIN_OVERLAP, FIRST_HITS = 16, 0.5, 5
WEIGHTS = INTENTS["similar"]


@dataclass(frozen=True)
class Catalogue:
    """Ids and looks [n, size] of the catalogue pictures."""

    ids: Sequence[str]
    looks: Floats
    sizes: tuple[int, int]
    """Dimensions of the object and style parts."""

    def rank(self, look: Floats, item_id: str) -> int:
        """How many items are nearer to the look than this one."""
        scores = self.looks @ weight_look(look, WEIGHTS, *self.sizes)
        return int((scores > scores[self.ids.index(item_id)]).sum())


@dataclass(frozen=True)
class ThingScore:
    """What a search finds of a thing of a composite: the overlap of the best region, and ranks of the thing."""

    overlap: float
    rank: int | None
    """In the hits of that region, from 0; None if no region covers it."""
    whole_rank: int
    """In the hits of the whole."""
    hidden: bool


def score_scene(scene: Scene, look: Look, catalogue: Catalogue) -> Iterator[ThingScore]:
    """Score each thing of a composite by the look of its picture."""
    regions = np.array([_corners(region) for region in look.regions], np.float32).reshape(-1, 4)
    for thing, box, hidden in zip(scene.things, scene.boxes, scene.hidden, strict=True):
        whole = catalogue.rank(look.vector, thing.id)
        shares = overlaps(_as_shares(box, scene), regions)
        best = int(shares.argmax()) if len(shares) else -1
        if best < 0 or shares[best] <= 0:
            yield ThingScore(0.0, None, whole, hidden)
            continue
        rank = catalogue.rank(look.regions[best].look.vector, thing.id)
        yield ThingScore(float(shares[best]), rank, whole, hidden)


def _corners(region: RegionLook) -> tuple[float, float, float, float]:
    crop = region.box
    return crop.x, crop.y, crop.x + crop.w, crop.y + crop.h


def _as_shares(box: Box, scene: Scene) -> Floats:
    shares: Floats = (np.array(box) / (scene.image.size * 2)).astype(np.float32)
    return shares


def describe(scores: Sequence[ThingScore]) -> str:
    """The figures of some things, in one line."""
    covered = np.mean([score.overlap >= MIN_OVERLAP for score in scores])
    found = np.mean([score.rank is not None and score.rank < FIRST_HITS for score in scores])
    whole = np.mean([score.whole_rank < FIRST_HITS for score in scores])
    return f"{len(scores)} things: boxes {covered:.3f}, found {found:.3f} (by the whole {whole:.3f})"


def embed_catalogue(embedder: ImageEmbedder, data: Path) -> Catalogue:
    """The looks of every studio picture of grocery, and of the things that are not for training."""
    rows = [row for row in read_table(data / "grocery/labels.csv") if row["split"] == "catalog"]
    paths = {row["label"]: data / "grocery" / row["image"] for row in rows}
    paths |= {thing.id: thing.path for thing in read_things(data, train=False)}
    batches = [list(paths.values())[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    looks = [
        look for batch in track(batches, "catalogue") for look in embedder.embed([p.read_bytes() for p in batch])
    ]
    encoder = embedder.encoder
    found = {id: look.vector for id, look in zip(paths, looks, strict=True) if isinstance(look, Look)}
    return Catalogue(list(found), np.stack(list(found.values())), (encoder.object_size, encoder.style_size))


def embed_scenes(embedder: ImageEmbedder, scenes: Sequence[Scene], objects: Objects) -> list[Look]:
    """The looks of composites, encoded as JPEG."""
    looks = embedder.embed([_encode(scene) for scene in scenes], (), EmbedOptions(restored=True, objects=objects))
    return [look for look in looks if isinstance(look, Look)]


def _encode(scene: Scene) -> bytes:
    out = BytesIO()
    scene.image.save(out, "JPEG", quality=90)
    return out.getvalue()


def region_counts(embedder: ImageEmbedder, paths: Sequence[Path]) -> Doubles:
    """How many regions `auto` finds in each photo."""
    counts = list[int]()
    for start in track(range(0, len(paths), BATCH), "photos of one thing"):
        pictures = [path.read_bytes() for path in paths[start : start + BATCH]]
        looks = embedder.embed(pictures, (), EmbedOptions(restored=True, objects="auto"))
        counts += [len(look.regions) for look in looks if isinstance(look, Look)]
    return np.array(counts, np.float64)


def evaluate_composites(embedder: ImageEmbedder, data: Path, grounds: str, count: int, first_seed: int) -> None:
    """Print the figures of composites on photos of a folder; every second one has partly hidden things."""
    catalogue = embed_catalogue(embedder, data)
    things, photos = read_things(data, train=False), read_grounds(data, train=False, folder=grounds)
    scores = list[tuple[bool, ThingScore]]()
    for start in track(range(first_seed, first_seed + count, BATCH), "composites"):
        seeds = range(start, min(start + BATCH, first_seed + count))
        scenes = [compose(things, photos, seed, hidden=seed % 2 == 1) for seed in seeds]
        for seed, scene, look in zip(seeds, scenes, embed_scenes(embedder, scenes, "auto"), strict=True):
            scores += [(seed % 2 == 1, score) for score in score_scene(scene, look, catalogue)]
    print(f"on {grounds}, seeds from {first_seed}, {len(catalogue.ids)} items")
    print("apart:", describe([score for is_hidden, score in scores if not is_hidden]))
    print("two of three partly hidden:", describe([score for is_hidden, score in scores if is_hidden]))


def main(
    data: Annotated[Path, typer.Argument(help="Folder with grocery/, clothing/ and fashion/")],
    count: Annotated[int, typer.Option(help="Composites")] = 1_000,
    photos: Annotated[int, typer.Option(help="Photos of each set of photos of one thing")] = 400,
    grounds: Annotated[str, typer.Option(help="Folder of the grounds: grocery or clothing")] = "grocery",
    first_seed: Annotated[int, typer.Option(help="Seed of the first composite, below 100,000")] = 50_000,
) -> None:
    """Print the figures."""
    with ThreadPoolExecutor(available_cores()) as pool:
        settings = TorchSettings()
        encoder, detector = open_encoder("best", settings), find_detector("default", settings)
        limits = DecodeLimits(thumbnail=0)
        embedder = ImageEmbedder(encoder, make_colour_extractor(), limits, pool, open_detector=detector)
        if count:
            evaluate_composites(embedder, data, grounds, count, first_seed)
        for folder in ("clothing", "grocery"):
            paths = read_grounds(data, train=False, folder=folder)
            chosen = random.Random(0).sample(paths, min(photos, len(paths)))
            if chosen:
                counts = region_counts(embedder, chosen)
                whole = np.mean(counts == 0)
                print(f"{len(chosen)} photos of {folder}: auto answers for the whole in {whole:.3f}")


if __name__ == "__main__":
    typer.run(main)
