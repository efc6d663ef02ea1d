"""The default encoders and the whole program run without torch, which is an extra."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
REFUSAL = """
import sys
from importlib.abc import MetaPathFinder

class Refusal(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("torch", "transformers", "huggingface_hub"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refusal())
"""
"""Makes a Python process refuse the modules of the extra `torch`."""


def run_without_torch(code: str) -> str:
    """The output of a program in a Python that has no torch."""
    command = [sys.executable, "-W", "ignore", "-c", REFUSAL + code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_default_encoder_and_the_detector_run() -> None:
    code = """
from infra.config.settings import TorchSettings
from infra.encoder import open_encoder
from infra.encoder.lite import probe
from infra.encoder.region_detector import open_region_detector
encoder = open_encoder("fast", TorchSettings(threads=1))
view = encoder.prepare(probe(), (0, 0, 320, 240))
print(encoder.run([((view,), False)]).shape, len(open_region_detector(TorchSettings(threads=1)).detect([probe()])))
"""
    assert run_without_torch(code) == "(1, 320) 1\n"


@pytest.mark.parametrize(
    "module",
    [
        "lookstream.__main__",
        "consumers.workers.index_worker",
        "consumers.workers.query_worker",
        "consumers.quality.evaluation.setup",
        "producers.gateway.compose",
        "producers.demo.commands",
    ],
)
def test_no_part_of_the_program_imports_torch(module: str) -> None:
    assert run_without_torch(f"import {module}; print('done')") == "done\n"


def test_a_model_of_ones_own_names_the_extra() -> None:
    code = """
from infra.config.settings import TorchSettings
from infra.encoder import EncoderUnavailable, open_backbone
try:
    open_backbone("owner/model", TorchSettings())
except EncoderUnavailable as error:
    print(error)
"""
    assert "pip install 'lookstream[torch]'" in run_without_torch(code)
