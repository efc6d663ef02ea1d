"""The ablations in their short form, on drawn pictures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from consumers.quality.evaluation.ground_truth import GroundTruth
from consumers.quality.evaluation.labelled_dataset import LabelColumns, parse_source, read_rows
from consumers.quality.evaluation.setup import SetupOptions
from consumers.quality.evaluation.system_under_test import search_all
from consumers.scoring.metric import DEFAULT_METRIC, Metric
from consumers.vision.contracts import EncoderInput
from infra.config.settings import Settings, TorchSettings
from infra.encoder import open_encoder
from infra.encoder.lite import PROFILES, checkpoint, probe
from infra.encoder.openvino import compile_maps
from schemas.ranking import INTENTS
from tests.consumers.quality.evaluation.conftest import draw_shop
from tests.evaluation.ablations import (
    ABLATIONS,
    CLEAN,
    CORRUPTED,
    FORMAT,
    MEASURES,
    PARTS,
    make_questions,
    parts_of,
    read_truths,
    switch_off,
)
from tests.evaluation.plain_average import WholePicture, open_plain, open_with_catalogue

ROOT = Path(__file__).parents[2]


def truth_of(table: Path) -> GroundTruth:
    catalogue, queries = (
        read_rows(parse_source(f"{table}:side={side}"), LabelColumns()) for side in ("catalogue", "queries")
    )
    return GroundTruth(tuple(catalogue), tuple(queries))


def test_each_part_is_switched_off_and_its_gain_is_written(tmp_path: Path) -> None:
    table, report = draw_shop(tmp_path), tmp_path / "ablations.json"
    words = [f"{table}:side=catalogue", f"{table}:side=queries", "--encoder", "fake", "--json", str(report)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOOKSTREAM_")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.evaluation.ablations", *words], cwd=ROOT,
        env=inherited | {"LOOKSTREAM_DATA": str(tmp_path / "data"), "COLUMNS": "200"}, capture_output=True,
        text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(report.read_text())
    assert document["format"] == FORMAT
    [found] = document["sets"].values()
    assert (found["queries"], found["pictures"]) == (9, 27)
    manners = {CLEAN, *CORRUPTED}
    assert set(found["complete"]) == manners
    assert set(found["gains"]) == set(PARTS)
    for gains in found["gains"].values():
        assert set(gains) == manners
        assert all(set(measures) == set(MEASURES) for measures in gains.values())
    assert found["complete"][CLEAN]["recall@1"]["value"] == 1
    # So few pictures choose no metric, and the fake encoder has one view: these parts change nothing.
    for part in ("metric of the collection", "second view of photos"):
        for manner in manners:
            assert {gain["value"] for gain in found["gains"][part][manner].values()} == {0}
    for part in PARTS:
        assert part in done.stdout


def test_two_tables_are_one_set(tmp_path: Path) -> None:
    [(_, truth)] = read_truths([f"{draw_shop(tmp_path)}:side={side}" for side in ("catalogue", "queries")], 0)
    assert truth == truth_of(tmp_path / "labels.csv")


def test_parts_of_the_metric_are_taken_out_one_by_one() -> None:
    metric = Metric(transform=np.eye(2, dtype=np.float32), colour_factor=0.5, category_weight=0.4, whole_view=True)
    changed = {name: ablation.metric(metric) for name, ablation in ABLATIONS.items()}
    assert changed["metric of the collection"] == DEFAULT_METRIC
    assert changed["its boost of the likely category"].category_weight == 0
    assert changed["its boost of the likely category"].colour_factor == 0.5
    assert changed["its weight of colours"].colour_factor == 1
    assert not changed["its choice of views"].whole_view
    assert changed["verification"] is metric


def test_without_the_rule_grey_pictures_are_compared_by_their_colours_too(tmp_path: Path) -> None:
    truth, settings = truth_of(draw_shop(tmp_path)), Settings(data=tmp_path / "data")
    options = SetupOptions("fake", tmp_path / "looks", Console(quiet=True))
    encoder = open_encoder("fake", settings.torch)
    grey = make_questions(truth)["grey"][:1]
    weights = {}
    with open_with_catalogue(settings, encoder, options, truth) as setup:
        system, store = parts_of(setup, {CLEAN: grey})
        for name in ("rule for pictures without colours", "verification"):
            [result] = search_all(switch_off(system, store, ABLATIONS[name]), grey, setup.track, "")
            assert result.weights is not None
            weights[name] = result.weights.colour
    assert weights == {"rule for pictures without colours": INTENTS["similar"].colour, "verification": 0}


def test_the_plain_average_is_that_of_the_whole_picture() -> None:
    encoder = open_plain(Settings(), "fast")
    assert isinstance(encoder, WholePicture)
    picture = probe()
    whole, middle = (encoder.prepare(picture, box) for box in ((0, 0, 320, 240), (50, 40, 250, 200)))
    one, two = encoder.run([EncoderInput((whole,), False), EncoderInput((whole, middle), False)])
    assert one @ two == pytest.approx(2, abs=0.01)  # the object and the style part, of unit length each
    network = compile_maps(checkpoint(0), 0, PROFILES["fast"].side, TorchSettings())
    mean = network(whole[np.newaxis].astype(np.uint8)).last.mean((2, 3))[0]
    assert encoder.object_size == len(mean)
    assert one[: len(mean)] @ mean / np.linalg.norm(mean) == pytest.approx(1, abs=0.01)
