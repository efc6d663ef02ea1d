"""DeepFashion2: garments of customers' photos are searched among those of shops', all cut out by their boxes."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from consumers.quality.evaluation.datasets.formats import open_dataset
from consumers.quality.evaluation.ground_truth import GroundTruth
from tests.consumers.quality.evaluation.datasets.conftest import Select
from tests.consumers.quality.evaluation.made_datasets import make_deepfashion2


def test_garments_with_a_style_are_queries_and_all_of_shops_are_the_catalogue(tmp_path: Path, read: Select) -> None:
    chosen = read(make_deepfashion2(tmp_path))
    assert len(chosen.queries) == 9
    assert len(chosen.catalogue) == 18
    assert chosen.queries[0].image == "validation/000001/item1"
    assert (chosen.queries[0].label, chosen.queries[0].category) == ("pair 0 style 1", "disc")
    assert [row.label != "" for row in chosen.catalogue[:2]] == [True, False]
    truth = GroundTruth(tuple(chosen.catalogue), tuple(chosen.queries))
    assert [truth.qrels_of(row)[0].tolist() for row in chosen.queries] == [[2 * pair] for pair in range(9)]


def test_the_protocol_is_top_20_accuracy_on_the_validation_split(tmp_path: Path) -> None:
    dataset = open_dataset(make_deepfashion2(tmp_path), None, None)
    assert (dataset.name, dataset.split, dataset.measure.name) == ("DeepFashion2", "validation", "recall@20")


def test_a_garment_is_cut_out_by_its_box(tmp_path: Path, read: Select) -> None:
    chosen = read(make_deepfashion2(tmp_path))
    for row in (chosen.queries[0], chosen.catalogue[0]):
        image = Image.open(io.BytesIO(row.read()))
        assert image.size == (64, 64)
        pixel = image.convert("RGB").resize((1, 1), Image.Resampling.BOX, (24, 24, 40, 40)).getpixel((0, 0))
        assert isinstance(pixel, tuple)
        assert pixel[0] > 150 > max(pixel[1:])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("[1]", "it is no annotation"),
        ('{"source": "user", "pair_id": 1, "item1": 3}', "its bounding_box is not"),
        ('{"source": "user", "pair_id": 1, "item1": {"style": 1, "bounding_box": [1, 2, 3]}}', "its bounding_box"),
        ('{"source": "user", "item1": {"style": 1, "bounding_box": [NaN, 0, 9, Infinity]}}', "its bounding_box"),
    ],
)
def test_a_bad_annotation_costs_its_own_photo_alone(
    tmp_path: Path, read: Select, content: str, reason: str
) -> None:
    (make_deepfashion2(tmp_path) / "validation" / "annos" / "000001.json").write_text(content)
    chosen = read(tmp_path)
    assert len(chosen.queries) == 8
    [entry] = chosen.skipped
    assert "000001" in entry.name
    assert reason in entry.reason


def test_a_garment_without_a_pair_is_no_query(tmp_path: Path, read: Select) -> None:
    file = make_deepfashion2(tmp_path) / "validation" / "annos" / "000001.json"
    annotation = json.loads(file.read_text())
    for change in ({"pair_id": None}, {"item1": annotation["item1"] | {"style": "one"}}):
        file.write_text(json.dumps(annotation | change))
        assert len(read(tmp_path).queries) == 8


def test_a_box_outside_of_the_photo_gives_no_picture(tmp_path: Path, read: Select) -> None:
    file = make_deepfashion2(tmp_path) / "validation" / "annos" / "000001.json"
    annotation = json.loads(file.read_text())
    for box in ([300, 0, 364, 64], [100, 0, 90, 64], [0, 0, 5, 5]):
        annotation["item1"]["bounding_box"] = box
        file.write_text(json.dumps(annotation))
        assert read(tmp_path).queries[0].read() == b""
