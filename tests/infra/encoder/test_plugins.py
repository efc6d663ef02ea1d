"""Networks of other packages: found by their entry points, and refused with the reason when they are wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infra.array_types import Box, Floats, Pixels
from infra.config.settings import TorchSettings
from infra.encoder import EncoderUnavailable, open_backbone, open_encoder, reads_text
from infra.encoder.backbone import Backbone

SIDE = 8


def prepare(image: Image.Image, box: Box) -> Floats:
    return np.asarray(image.resize((SIDE, SIDE), box=box), np.float32).transpose(2, 0, 1)


def mean_and_spread(views: Pixels) -> Floats:
    return np.concatenate([views.mean((2, 3)), views.std((2, 3))], 1).astype(np.float32)


def open_small() -> Backbone:
    return Backbone("small", "1", 4, 2, prepare, mean_and_spread)


def open_without_style() -> Backbone:
    return Backbone("plain", "1", 6, 0, prepare, mean_and_spread)


def open_raising() -> Backbone:
    raise OSError("model.onnx is not there")


def open_nothing() -> None:
    """Returns no backbone."""


def open_wide() -> Backbone:
    return Backbone("wide", "1", 4, 4, prepare, mean_and_spread)


def open_double() -> Backbone:
    return Backbone("double", "1", 4, 2, prepare, lambda views: mean_and_spread(views).astype(np.float64))


def open_infinite() -> Backbone:
    return Backbone("infinite", "1", 4, 2, prepare, lambda views: np.full((len(views), 6), np.inf, np.float32))


def open_whole() -> Backbone:
    return Backbone("whole", "1", 4, 2, lambda image, _box: np.asarray(image), mean_and_spread)


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Installs a package that declares an encoder `mine`, which a function of this file opens."""

    def install(function: str) -> None:
        folder = tmp_path / "mine-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[lookstream.encoders]\nmine = {__name__}:{function}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return install


def test_a_declared_network_is_opened_by_its_name(declare: Callable[[str], None]) -> None:
    declare("open_small")
    encoder = open_encoder("mine", TorchSettings())
    assert encoder.fingerprint.startswith("mine:")
    assert (encoder.object_size, encoder.style_size) == (4, 2)
    assert not reads_text("mine")


def test_object_features_say_how_alike_styles_are_if_there_are_no_others(declare: Callable[[str], None]) -> None:
    declare("open_without_style")
    backbone = open_backbone("mine", TorchSettings())
    [features] = backbone.features([(prepare(Image.new("RGB", (9, 9), "red"), (0, 0, 9, 9)),)])
    assert np.array_equal(features[:6], features[6:])


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("open_raising", "OSError: model.onnx is not there"),
        ("open_missing", "AttributeError"),
        ("open_nothing", "returns a NoneType"),
        ("open_wide", r"float32 \[2, 6\], not float32 \[2, 8\]"),
        ("open_double", r"float64 \[2, 6\]"),
        ("open_infinite", "not finite"),
        ("open_whole", "shapes"),
    ],
)
def test_a_wrong_network_is_refused_with_the_reason(
    function: str, reason: str, declare: Callable[[str], None]
) -> None:
    declare(function)
    with pytest.raises(EncoderUnavailable, match=f"encoder mine: .*{reason}"):
        open_encoder("mine", TorchSettings())
