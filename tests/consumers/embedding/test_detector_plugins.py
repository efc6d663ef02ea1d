"""Detectors of other packages: found by their entry points, and harmless when they fail."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image
from structlog.testing import capture_logs

from consumers.embedding.detector_plugins import PluginDetector, find_plugin
from infra.array_types import Box
from infra.config.errors import SettingsError
from tests.component_detector import ComponentDetector

PICTURE = Image.new("RGB", (64, 64))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that declares two detectors, of which one does not exist."""
    folder = tmp_path / "parts-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: parts\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        "[lookstream.detectors]\nparts = tests.component_detector:ComponentDetector\nnone = tests.nowhere:open\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("installed")
def test_a_declared_detector_is_opened_once_by_its_name() -> None:
    open_detector = find_plugin("parts")
    assert open_detector() is open_detector()
    assert open_detector().name == "parts"
    assert open_detector().detect([PICTURE]) == [[]]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("name", "reason"), [("faces", "default, none, parts"), ("none", "cannot be imported")])
def test_a_detector_that_is_not_there_is_refused_at_the_start(name: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        find_plugin(name)


class FailingDetector(ComponentDetector):
    """Raises."""

    def detect(self, images: Sequence[Image.Image]) -> list[list[tuple[Box, float]]]:
        raise RuntimeError("out of memory")


class ShortDetector(ComponentDetector):
    """Answers for no picture."""

    def detect(self, images: Sequence[Image.Image]) -> list[list[tuple[Box, float]]]:
        return []


@pytest.mark.parametrize("detector", [FailingDetector(), ShortDetector()])
def test_a_detector_that_fails_finds_nothing_and_the_log_says_so(detector: ComponentDetector) -> None:
    with capture_logs() as logs:
        assert PluginDetector("parts", detector).detect([PICTURE, PICTURE]) == [[], []]
    assert [(entry["event"], entry["detector"]) for entry in logs] == [("the detector failed", "parts")]
