"""Tiny folders of the same shape as the public sets, with pictures drawn in code: three things in three colours."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

COLOURS = ("#cc2222", "#228833", "#2255cc")
KINDS = ("disc", "bar", "ring")
THINGS = [(kind, colour) for kind in KINDS for colour in COLOURS]
"""The products; number 0 is a red disc."""
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""How the Hugging Face hub stores pictures."""


def draw_thing(number: int, shift: int, ground: str = "white", side: int = 64) -> Image.Image:
    """A product, moved by some pixels."""
    kind, colour = THINGS[number]
    image = Image.new("RGB", (side, side), ground)
    pen, box = ImageDraw.Draw(image), (12 + shift, 12, 50 + shift, 50)
    if kind == "disc":
        pen.ellipse(box, fill=colour)
    elif kind == "bar":
        pen.rectangle((8 + shift, 26, 54 + shift, 38), fill=colour)
    else:
        pen.ellipse(box, outline=colour, width=7)
    return image


def draw_noise(seed: int) -> Image.Image:
    """A picture of nothing that is sold."""
    corner = (-2.0 + seed / 7, -1.0, 0.5 + seed / 7, 1.0)
    return Image.effect_mandelbrot((64, 64), corner, 20).convert("RGB")


def encoded(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def save(image: Image.Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "JPEG", quality=95)
    return path


def make_sop(folder: Path) -> Path:
    """Nine products of three kinds, three pictures each, in the list of the test split; one in train's."""
    lines = ["image_id class_id super_class_id path"]
    for number, (kind, _) in enumerate(THINGS):
        for shift in range(3):
            name = f"{kind}_final/11108512287{number}_{shift}.JPG"
            save(draw_thing(number, shift), folder / name)
            lines.append(f"{len(lines)} {number + 1} {KINDS.index(kind) + 1} {name}")
    (folder / "Ebay_test.txt").write_text("\n".join(lines) + "\n")
    (folder / "Ebay_train.txt").write_text("\n".join([lines[0], *lines[1:4]]) + "\n")
    return folder


def make_rp2k(folder: Path) -> Path:
    """Nine products, three pictures each, in the folders of the test split, and a product in those of train."""
    for number, thing in enumerate(THINGS):
        for shift in range(3):
            save(draw_thing(number, shift), folder / "all" / "test" / " ".join(thing) / f"{shift} a.jpg")
    save(draw_thing(0, 4), folder / "all" / "train" / "盒装" / "0.jpg")
    (folder / "all" / "test" / "empty").mkdir()
    (folder / "all" / "test" / ".DS_Store").write_bytes(b"\0")
    return folder


def make_deepfashion2(folder: Path) -> Path:
    """Pairs 0 to 8, each a thing with style 1 beside one with style 0, in a customer's photo and in a shop's."""
    for pair, (kind, _) in enumerate(THINGS):
        for number, source in ((2 * pair + 1, "user"), (2 * pair + 2, "shop")):
            photo = Image.new("RGB", (200, 64), "grey")
            photo.paste(draw_thing(pair, number % 2), (100, 0))
            photo.paste(draw_thing((pair + 4) % 9, 2), (10, 0))
            save(photo, folder / "validation" / "image" / f"{number:06}.jpg")
            annotation = {
                "source": source,
                "pair_id": pair,
                "item1": {"category_name": kind, "style": 1, "bounding_box": [100, 0, 164, 64]},
                "item2": {"category_name": "trousers", "style": 0, "bounding_box": [10, 0, 74, 64]},
            }
            file = folder / "validation" / "annos" / f"{number:06}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(annotation))
    return folder


def make_ilias(folder: Path) -> Path:
    """Nine objects with a query, in which the object takes a part, and two positives; two shards of distractors."""
    for number in range(len(THINGS)):
        thing = folder / "ilias_core" / f"funny_name_{number:03}"
        query = Image.new("RGB", (128, 64), "white")
        query.paste(draw_thing(number, 0), (64, 0))
        save(query, thing / "query" / f"Q{number:03}_00.jpg")
        (thing / "query" / f"Q{number:03}_00_bbox.txt").write_text("76 12 20 39\n90 12 25 39\n")
        (thing / "query" / f"T{number:03}.txt").write_text("a thing")
        for positive in range(2):
            save(draw_thing(number, positive + 1, "#dddddd"), thing / "pos" / f"P{number:03}_{positive:02}.jpg")
            (thing / "pos" / f"P{number:03}_{positive:02}_bbox.txt").write_text("12 12 40 40\n")
    for shard in range(2):
        pictures = {f"{shard}/{n}.jpg": encoded(draw_noise(5 * shard + n)) for n in range(5)}
        write_tar(folder / "yfcc100m" / f"yfcc100m_{shard:05}.tar", pictures | {f"{shard}/0.json": b"{}"})
    taxonomy = {"product": {"toy": {"shape": [f"funny_name_{n:03}" for n in range(6)]}}}
    (folder / "taxonomy.json").write_text(json.dumps(taxonomy))
    return folder


def write_tar(file: Path, members: dict[str, bytes]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def write_pictures(
    file: Path, pictures: Sequence[bytes | None], columns: dict[str, Sequence[object]], group: int = 4
) -> None:
    """A Parquet file with a picture column, in row groups of some rows."""
    file.parent.mkdir(parents=True, exist_ok=True)
    cells = [None if data is None else {"bytes": data, "path": None} for data in pictures]
    table = pa.table(
        {"image": pa.array(cells, IMAGE)} | {name: pa.array(values) for name, values in columns.items()}
    )
    pq.write_table(table, file, row_group_size=group)


def make_mieb(folder: Path) -> Path:
    """Nine queries in a corpus that also has their very pictures; other pictures of a thing have grades 2 and 1."""
    corpus = [(f"c{number}-{shift}", draw_thing(number, shift)) for number in range(9) for shift in range(3)]
    write_pictures(
        folder / "corpus" / "test-00000-of-00001.parquet",
        [encoded(image) for _, image in corpus],
        {"id": [name for name, _ in corpus], "modality": ["image"] * len(corpus)},
    )
    queries = [f"q {number}" for number in range(9)] + ["unjudged"]
    write_pictures(
        folder / "queries" / "test-00000-of-00001.parquet",
        [encoded(draw_thing(min(number, 8), 0)) for number in range(10)],
        {"id": queries, "modality": ["image"] * 10},
    )
    judgements = [(f"q {n}", f"c{n}-{shift}", grade) for n in range(9) for shift, grade in enumerate((1, 2, 1))]
    judgements.append(("q 0", "c8-0", 0))
    columns = zip(*judgements, strict=True)
    table = pa.table(dict(zip(("query-id", "corpus-id", "score"), map(list, columns), strict=True)))
    (folder / "qrels").mkdir()
    pq.write_table(table, folder / "qrels" / "test-00000-of-00001.parquet")
    return folder


def make_lookbench(folder: Path) -> Path:
    """A version with the subset real_studio_flat and the noise; each thing is three times in the gallery."""
    version = folder / "v20251201"
    for name, shifts in (("query", (0,)), ("gallery", (1, 2, 3))):
        rows = [(number, shift) for number in range(9) for shift in shifts]
        write_pictures(
            version / "real_studio_flat" / f"{name}.parquet",
            [encoded(draw_thing(*row)) for row in rows],
            {
                "category": [THINGS[number][0] for number, _ in rows],
                "main_attribute": [THINGS[number][1] for number, _ in rows],
                "item_ID": [str(n) for n in range(len(rows))],
            },
        )
    write_pictures(
        version / "noise" / "gallery.parquet",
        [encoded(draw_noise(n)) for n in range(6)],
        {"category": ["noise data"] * 6, "main_attribute": [""] * 6, "item_ID": [f"noise_{n}" for n in range(6)]},
    )
    return folder


MAKERS = {
    "sop": make_sop,
    "rp2k": make_rp2k,
    "deepfashion2": make_deepfashion2,
    "ilias": make_ilias,
    "mieb": make_mieb,
    "lookbench": make_lookbench,
}
"""A maker for each format, by its name."""
