"""Fixtures of the contract suites: the plug-ins that options name."""

from pathlib import Path

import pytest

from consumers.embedding.detector_plugins import PluginDetector, find_plugin
from consumers.vision.contracts import Detector, Encoder
from infra.config.settings import TorchSettings
from infra.encoder import open_encoder

OPTION_OF = {"test_encoders.py": "--encoder", "test_detectors.py": "--detector"}
"""The option that names the plug-ins of a suite; without it, the suite is left out."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    option = OPTION_OF.get(collection_path.name)
    return True if option is not None and not config.getoption(option) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not items:
        raise pytest.UsageError(f"name the plug-ins to test: {' or '.join(OPTION_OF.values())}, with a NAME")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture in ("encoder", "detector"):
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, metafunc.config.getoption(f"--{fixture}"), indirect=True, scope="module")


@pytest.fixture(scope="module")
def encoder(request: pytest.FixtureRequest) -> Encoder:
    """The encoder of this name."""
    return open_encoder(request.param, TorchSettings(threads=2))


@pytest.fixture(scope="module")
def detector(request: pytest.FixtureRequest) -> Detector:
    """The detector of this name, without what guards workers from its faults."""
    opened = find_plugin(request.param)()
    return opened.detector if isinstance(opened, PluginDetector) else opened
