"""The evaluation command, on a folder of plain pictures where the answer is known."""

import json
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "tests.evaluation.evaluate"]


def evaluate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *arguments, "--encoder", "fake"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def test_plain_colours_find_their_like(tmp_path: Path) -> None:
    lines = ["image,split,label,category"]
    for n in range(30):
        colour = ("red", "green", "blue")[n % 3]
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{n}.png")
        lines.append(f"{n}.png,{'val' if n < 6 else 'train'},{colour},plain")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    report = tmp_path / "report.json"
    done = evaluate(str(tmp_path), "--json", str(report))
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_text())
    similar = next(score for score in figures["scores"] if score["weighting"] == "similar")
    assert (figures["pictures"], similar["queries"]) == (30, 6)
    assert (similar["recall_1"], similar["recall_5"], similar["precision_10"]) == (1, 1, 0.8)


def test_a_folder_without_labels_is_named(tmp_path: Path) -> None:
    done = evaluate(str(tmp_path))
    assert done.returncode == 1
    assert "labels.csv" in done.stdout
    assert "Traceback" not in done.stderr
