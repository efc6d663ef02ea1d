"""The command `evaluate`, as a user runs it, on pictures where the answer is known."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.consumers.quality.evaluation.made_datasets import make_mieb, make_sop
from tests.end_to_end import forked_cli

ROOT = Path(__file__).parents[4]


def evaluate(*words: str | Path, code: int = 0, data: Path) -> "subprocess.CompletedProcess[str]":
    own = {"LOOKSTREAM_DATA": str(data), "LOOKSTREAM_ENCODER": "fake", "COLUMNS": "200"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOOKSTREAM_")}
    done = forked_cli.run(["evaluate", *map(str, words)], inherited | own, ROOT, 300)
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    return done


def sides(labels: Path) -> list[str]:
    return ["--catalog", f"{labels}:side=catalogue", "--queries", f"{labels}:side=queries"]


def test_everything_is_measured(labels: Path, off_topic: Path, tmp_path: Path) -> None:
    sheet, result = tmp_path / "sheet.png", tmp_path / "result.json"
    more: list[str | Path] = [
        "--off-topic",
        off_topic,
        "--same",
        "maker",
        "--robustness",
        "3",
        "--sheet",
        sheet,
        "--json",
    ]
    done = evaluate(*sides(labels), *more, data=tmp_path / "data")
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["counts"] == {"catalogue": 27, "queries": 9, "unanswerable": 0, "unreadable": []}
    assert found["encoder"] == "fake:1"
    assert set(found["weightings"]) == {"object alone", "exact", "similar", "style", "colour"}
    similar = found["weightings"]["similar"]["metrics"]
    assert similar["recall@1"] == {"value": 1, "low": 1, "high": 1}
    assert similar["recall@10"]["value"] == 1
    assert similar["precision@10"]["value"] <= 0.3
    assert {one["right"][0] for one in found["queries"]} == {"1"}
    assert set(found["by_category"]) == {"disc", "bar", "ring"}
    assert set(found["by_colour"]) == {"red", "green", "blue"}
    for one in found["filtered"].values():
        assert one["hits"] == one["satisfying"] > 0
    assert "category" in found["calibration"]
    assert found["off_topic"]["queries"] == 4
    assert found["engine_recall"]["value"] > 0.95
    assert found["colours"]["share"]["first"]["value"] == 1
    assert (
        found["colour_hits"]["share"]["colour"]["value"] > found["colour_hits"]["share"]["similar"]["value"] - 0.01
    )
    assert set(found["same"]["maker"]["share"]) == {"object alone", "similar", "style"}
    assert found["robustness"]["drops"]["EXIF turn"]["recall@1"]["value"] == 0
    assert found["categories"]["items"] == 9
    assert "precision@10" in done.stderr
    assert set(found["calibration"]["category"]["first"]) == {"count", "ece", "brier", "bins"}
    assert (found["coverage"]["queries"], found["coverage"]["unknown"]) == (9, 9)
    assert "coverage: unknown for all 9 queries, so none is flagged" in done.stderr
    assert "reliability of `confidence` of first hits" in done.stderr
    with Image.open(sheet) as drawn:
        assert drawn.format == "PNG"

    result.write_text(done.stdout)
    again = evaluate(*sides(labels), "--robustness", "0", "--against", result, data=tmp_path / "data")
    assert "no regression" in again.stdout
    assert "looks were read from the cache" in again.stderr


def test_a_regression_ends_with_one_and_other_runs_with_two(labels: Path, tmp_path: Path) -> None:
    plain = ["--robustness", "0", "--json"]
    first = tmp_path / "first.json"
    first.write_text(evaluate(*sides(labels), *plain, data=tmp_path / "data").stdout)
    document = json.loads(first.read_text())
    # Spoil the queries: each now shows a thing of another label.
    names = [one["image"] for one in document["queries"]]
    pictures = [(labels.parent / name).read_bytes() for name in names]
    for name, other in zip(names, pictures[4:] + pictures[:4], strict=True):
        (labels.parent / name).write_bytes(other)
    worse = evaluate(*sides(labels), "--robustness", "0", "--against", first, code=1, data=tmp_path / "data")
    assert "regression: recall@1, precision@1, mAP@10" in worse.stdout
    words: list[str | Path] = [
        "--catalog",
        labels,
        "--queries",
        f"{labels}:side=queries",
        "--robustness",
        "0",
        "--against",
        first,
    ]
    assert "another catalogue" in evaluate(*words, code=2, data=tmp_path / "data").stderr


def test_a_calibration_error_above_its_limit_ends_with_one(labels: Path, tmp_path: Path) -> None:
    limits = tmp_path / "limits.json"
    plain = [*sides(labels), "--robustness", "0", "--coverage", "0", "--gate"]
    limits.write_text('{"category": 1, "category, all hits": 1, "label": 1, "item": 1}')
    passed = evaluate(*plain, limits, data=tmp_path / "data")
    assert "is within its limit 1" in passed.stdout
    assert "gate: passed" in passed.stdout
    limits.write_text('{"category": 0, "category, all hits": 0}')
    failed = evaluate(*plain, limits, code=1, data=tmp_path / "data")
    assert "is above its limit 0" in failed.stdout
    assert "gate: failed (category" in failed.stdout


def test_a_query_is_never_its_own_hit(labels: Path, tmp_path: Path) -> None:
    words: list[str | Path] = ["--catalog", labels, "--queries", labels, "--label", "image", "--robustness", "0"]
    refused = evaluate(*words, code=2, data=tmp_path / "data")
    assert "no query has its label in the catalogue" in refused.stderr


def test_what_cannot_be_read_is_named_and_left_out(labels: Path, tmp_path: Path) -> None:
    (labels.parent / "disc-red-0.png").write_text("no picture")
    (labels.parent / "disc-red-1.png").write_text("no picture")
    done = evaluate(*sides(labels), "--robustness", "0", "--json", data=tmp_path / "data")
    counts = json.loads(done.stdout)["counts"]
    assert counts == {
        "catalogue": 26, "queries": 8, "unanswerable": 0, "unreadable": ["disc-red-1.png", "disc-red-0.png"]
    }  # fmt: skip
    assert "2 pictures cannot be read: disc-red-1.png, disc-red-0.png" in done.stderr


def test_off_topic_pictures_of_which_none_can_be_read_are_refused(
    labels: Path, off_topic: Path, tmp_path: Path
) -> None:
    for picture in off_topic.parent.glob("*.png"):
        picture.write_bytes(b"no picture")
    words = [*sides(labels), "--robustness", "0", "--off-topic", str(off_topic)]
    refused = evaluate(*words, code=2, data=tmp_path / "data")
    assert "--off-topic: none of its 4 pictures can be read" in refused.stderr


def test_a_public_set_is_evaluated_and_trec_files_are_written(tmp_path: Path) -> None:
    make_sop(tmp_path / "set")
    run, qrels = tmp_path / "a.run", tmp_path / "a.qrels"
    words: list[str | Path] = ["--dataset", tmp_path / "set", "--robustness", "0", "--json"]
    done = evaluate(*words, "--run", run, "--qrels", qrels, data=tmp_path / "data")
    found = json.loads(done.stdout)
    assert found["counts"] == {"catalogue": 27, "queries": 27, "unanswerable": 0, "unreadable": []}
    assert (found["protocol"]["split"], found["protocol"]["measure"]) == ("test", "recall@1")
    assert found["protocol"]["value"]["value"] > 0.8
    assert "Stanford Online Products, split test: every picture of the split is a query" in done.stderr
    hits = [line.split() for line in run.read_text().splitlines()]
    assert len(hits) == 27 * 26
    assert {len(hit) for hit in hits} == {6}
    assert all(hit[0] != hit[2] for hit in hits)
    assert len(qrels.read_text().splitlines()) == 27 * 2


def test_a_sample_of_a_set_with_judgements_is_evaluated(tmp_path: Path) -> None:
    make_mieb(tmp_path / "set")
    words: list[str | Path] = [
        "--dataset",
        tmp_path / "set",
        "--format",
        "mieb",
        "--limit",
        "4",
        "--robustness",
        "0",
    ]
    found = json.loads(evaluate(*words, "--json", data=tmp_path / "data").stdout)
    assert (found["counts"]["queries"], found["counts"]["catalogue"]) == (4, 16)
    assert found["protocol"]["rule"].endswith("a sample (--limit 4), which is easier than the whole set")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--split", "test"], 2, "which --split and --format belong to"),
        (["--label", "what"], 2, "has no column what: its columns are image, label"),
        (["--image-root", "."], 2, "are not there"),
        (["--against", "nowhere.json"], 2, "--against nowhere.json cannot be read"),
        (["--gate", "nowhere.json"], 2, "--gate nowhere.json cannot be read"),
        (["--through", "kafka"], 1, "lookstream up"),
        (["--through", "kafka", "--encoder", "fake"], 2, "--encoder is for --through direct"),
    ],
)
def test_bad_input_is_one_sentence(labels: Path, tmp_path: Path, words: list[str], code: int, message: str) -> None:
    assert message in evaluate(*sides(labels), *words, code=code, data=tmp_path / "data").stderr
