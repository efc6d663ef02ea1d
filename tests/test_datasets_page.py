"""docs/datasets.md is true: each command of it runs as written, on tiny sets with the folders that it names."""

import os
import re
import sys
from pathlib import Path

import pytest

from consumers.quality.evaluation.datasets.formats import FORMATS
from tests.consumers.quality.evaluation.made_datasets import (
    make_deepfashion2,
    make_ilias,
    make_lookbench,
    make_mieb,
    make_rp2k,
    make_sop,
)
from tests.end_to_end import forked_cli

PAGE = (Path(__file__).parents[1] / "docs" / "datasets.md").read_text(encoding="utf-8")
FOLDERS = {
    "look-bench": make_lookbench,
    "ilias": make_ilias,
    "Stanford_Online_Products": make_sop,
    "DeepFashion2": make_deepfashion2,
    "rp2k_dataset": make_rp2k,
    "rp2k-mieb": make_mieb,
}


def commands() -> list[str]:
    return [
        line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines() if line
    ]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    for name, make in FOLDERS.items():
        make(tmp_path / name)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOOKSTREAM_")}
    own = {"LOOKSTREAM_DATA": str(tmp_path / "data"), "LOOKSTREAM_ENCODER": "fake", "COLUMNS": "200"}
    return inherited | own | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def test_every_command_runs_as_written(tmp_path: Path, environment: dict[str, str]) -> None:
    for command in commands():
        done = forked_cli.run_line(command, environment, tmp_path, 400)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "official measure" in done.stderr + done.stdout
    for written in ("ilias.run", "ilias.qrels", "before.json", "worst.png"):
        assert (tmp_path / written).stat().st_size, written


def test_every_format_has_a_row_and_a_command() -> None:
    assert len(FOLDERS) == len(FORMATS)
    for name in FOLDERS:
        assert any(f"--dataset {name} " in command for command in commands()), name
    for each in FORMATS:
        assert each.title.split(" or ")[0] in PAGE
