"""`make evaluate` on a folder laid out like the real one, with pictures drawn in code."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from consumers.quality.evaluation.regression import read_baseline
from consumers.quality.evaluation.results import QueryResult
from tests.evaluation.ablations import read_truths
from tests.evaluation.sets import SETS, draw_fashion, find_sets

ROOT = Path(__file__).parents[2]
COLOURS = {"Red": "#cc2222", "Green": "#228833", "Navy Blue": "#1b2748"}


def draw(path: Path, colour: str, shift: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (48, 48), "white")
    ImageDraw.Draw(image).ellipse((8 + shift, 8, 40 + shift, 40), fill=colour)
    image.save(path)


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def lay_out(folder: Path, splits: tuple[str, ...], category: str) -> None:
    rows = []
    for split in splits:
        for n, colour in enumerate(COLOURS.values()):
            name = f"{split}/{n}.png"
            draw(folder / name, colour, splits.index(split))
            rows.append({"image": name, "split": split, "label": f"{category} {n}", "category": category})
    write(folder / "labels.csv", rows)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """grocery, clothing and fashion, and a further set, with a few pictures each."""
    folder = tmp_path / "data"
    lay_out(folder / "grocery", ("catalog", "train", "val"), "fruit")
    lay_out(folder / "clothing", ("train", "validation"), "clothes")
    lay_out(folder / "furniture", ("train", "test"), "chair")
    rows = []
    for n in range(24):
        colour = list(COLOURS)[n % 3]
        draw(folder / "fashion" / f"{n}.png", COLOURS[colour], n % 4)
        facts = {"image": f"{n}.png", "id": str(n if n % 5 else n * 10), "articleType": ("Shirts", "Hats")[n % 2]}
        facts |= {"subCategory": "Things", "baseColour": colour, "usage": "Casual", "season": "Summer"}
        rows.append(facts)
    write(folder / "fashion" / "products.csv", rows)
    return folder


def test_every_trial_is_run_and_written_down(data: Path, tmp_path: Path) -> None:
    report, page, sheets = tmp_path / "evaluation.json", tmp_path / "docs" / "evaluation.md", tmp_path / "sheets"
    words = ["--encoder", "fake", "--robustness", "2", "--json", report, "--page", page, "--sheets", sheets]
    command = [sys.executable, "-m", "tests.evaluation.suite", str(data), *map(str, words)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOOKSTREAM_")}
    own = {"LOOKSTREAM_DATA": str(tmp_path / "data-folder")}
    done = subprocess.run(
        command, cwd=ROOT, env=inherited | own, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    trials = json.loads(report.read_text())["trials"]
    assert set(trials) == {*(each.name for each in SETS), "furniture"}
    assert trials["grocery photo to icon"]["weightings"]["similar"]["metrics"]["recall@1"]["value"] == 1
    assert set(trials["fashion"]["same"]) == {"usage", "season"}
    text = page.read_text()
    assert "| grocery photo to icon* | recall@1 | 1.000 [1.000, 1.000] | at least .60 |" in text
    assert "| furniture | recall@1 | 1.000 [1.000, 1.000] |  |" in text
    assert "- furniture: no choice was made on it." in text
    for title in (
        "Against the plain average of the same network", "Calibration error of each confidence",
        "Queries whose kind the catalogue does not have", "What is not known", "Recall@1 of corrupted queries",
    ):  # fmt: skip
        assert f"\n## {title}" in text
    assert "| furniture | +0.000 [+0.000, +0.000] |" in text
    assert "the answers have no `coverage`" in text
    assert "fake:1" in text
    assert str(tmp_path) not in text + report.read_text()
    assert len(list(sheets.glob("*.png"))) == len(SETS) + 1

    single = tmp_path / "one.json"
    single.write_text(json.dumps(trials["fashion"]))
    assert all(isinstance(one, QueryResult) for one in read_baseline(single).queries.values())


def test_further_folders_are_sets_on_which_no_choice_was_made(data: Path) -> None:
    *known, further = find_sets(data)
    assert known == list(SETS)
    assert all(each.choices for each in known)
    assert (further.name, further.choices) == ("furniture", "")


def test_ablations_are_measured_on_every_set_of_the_folder(data: Path) -> None:
    truths = dict(read_truths([str(data)], 2))
    assert list(truths) == [each.name for each in find_sets(data)]
    assert all(0 < len(truth.queries) <= 2 for truth in truths.values())


def test_fashion_is_drawn_the_same_way_each_time(data: Path, tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        draw_fashion(data / "fashion" / "products.csv", tmp_path / name)
        texts.append([(tmp_path / name / table).read_text() for table in ("queries.csv", "catalogue.csv")])
    assert texts[0] == texts[1]
    assert not set(texts[0][0].splitlines()[1:]) & set(texts[0][1].splitlines()[1:])
