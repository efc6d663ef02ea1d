"""docs/encoders.md is true: its example is a package that passes the contract suite, and its commands run."""

import os
import re
import sys
from pathlib import Path

import numpy as np
import openvino
import pytest
from openvino import opset13

from tests.end_to_end import forked_cli

PAGE = (Path(__file__).parents[1] / "docs" / "encoders.md").read_text(encoding="utf-8")
[EXAMPLE] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
[ENTRY_POINT, DETECTOR_POINT] = re.findall(
    r"```toml\n\[project\.entry-points\.\"(lookstream\.\w+)\"\]\n(.*?)```", PAGE, re.DOTALL
)
[CONTRACT, DEMO] = re.findall(r"```sh\n(.*?)\n```", PAGE, re.DOTALL)
CHANNELS, SIZE = 12, 24


def save_network(file: Path) -> None:
    """A small network with random weights: a convolution, and the mean and largest value of each channel."""
    rng = np.random.default_rng(3)
    views = opset13.parameter([-1, 3, 224, 224], np.float32, name="views")
    kernels = opset13.constant(rng.standard_normal((CHANNELS, 3, 16, 16)).astype(np.float32))
    maps = opset13.relu(opset13.convolution(views, kernels, [16, 16], [0, 0], [0, 0], [1, 1]))
    places = opset13.constant(np.array([2, 3]))
    pooled = [opset13.reduce_mean(maps, places, False), opset13.reduce_max(maps, places, False)]
    openvino.save_model(openvino.Model([opset13.concat(pooled, 1)], [views]), file, compress_to_fp16=False)


def install(folder: Path, module: str, example: str, entry_point: tuple[str, str] = ENTRY_POINT) -> None:
    """The example as a package of this folder, with an entry point that the page declares."""
    (folder / f"{module}.py").write_text(example)
    about = folder / f"{module}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    group, lines = entry_point
    (about / "entry_points.txt").write_text(f"[{group}]\n{lines.replace(chr(34), '')}")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    save_network(tmp_path / "my_model.xml")
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("LOOKSTREAM_", "PYTEST"))
    }
    paths = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    paths |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return inherited | paths | {"LOOKSTREAM_DATA": str(tmp_path / "data"), "COLUMNS": "200"}


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.splitlines()) <= 40


def test_the_example_passes_the_contract_suite(tmp_path: Path, environment: dict[str, str]) -> None:
    install(tmp_path, "my_encoder", EXAMPLE)
    done = forked_cli.run_line(CONTRACT, environment, tmp_path, 300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) >= 14


def test_the_suite_fails_for_an_encoder_to_which_all_pictures_are_alike(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    install(tmp_path, "my_encoder", EXAMPLE.replace("model(views)[0]", "np.ones((len(views), size), np.float32)"))
    done = forked_cli.run_line(CONTRACT, environment, tmp_path, 300)
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    assert "test_unlike_pictures_get_unlike_vectors" in done.stdout


@pytest.mark.parametrize(("answer", "code"), [("[[] for _ in images]", 0), ("1 / 0", 1)])
def test_the_suite_of_detectors_passes_one_that_finds_nothing_and_not_one_that_raises(
    answer: str, code: int, tmp_path: Path, environment: dict[str, str]
) -> None:
    detector = f"class Parts:\n    name = 'parts'\n\n    def detect(self, images):\n        return {answer}\n"
    install(tmp_path, "my_detector", f"{detector}\n\nopen_detector = Parts\n", DETECTOR_POINT)
    [command] = re.findall(r"`(pytest [^`]*--detector [^`]*)`", PAGE)
    done = forked_cli.run_line(command, environment, tmp_path, 120)
    assert done.returncode == code, done.stdout + done.stderr


def test_the_suite_without_a_plug_in_says_what_to_name(tmp_path: Path, environment: dict[str, str]) -> None:
    done = forked_cli.run_line("pytest --pyargs lookstream.contracts", environment, tmp_path, 120)
    assert done.returncode != 0
    assert "--encoder or --detector, with a NAME" in done.stdout + done.stderr


@pytest.mark.long
def test_the_demo_runs_with_the_example(tmp_path: Path, environment: dict[str, str]) -> None:
    install(tmp_path, "my_encoder", EXAMPLE)
    done = forked_cli.run_line(DEMO, environment, tmp_path, 300)
    assert "6 searches with casual photos" in done.stdout, done.stdout + done.stderr
    assert done.returncode == (1 if "✗" in done.stdout else 0)
