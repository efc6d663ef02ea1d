"""`lookstream fit` from pictures to a folder that opens as an encoder, with the real network."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from consumers.quality.fitting.output_folder import new_folder
from infra.config.errors import BadInput
from infra.config.settings import TorchSettings
from infra.encoder import FITTED, open_encoder, open_parts
from infra.encoder.lite import probe
from infra.encoder.projection import write_projection
from infra.encoder.whitening import known_vector
from lookstream.cli import app


def fit(*words: object) -> Result:
    return CliRunner().invoke(app, ["fit", *map(str, words)])


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKSTREAM_DATA", str(tmp_path / "data"))


def test_a_labelled_folder_becomes_an_encoder(shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "encoder"
    done = fit(shop, "--out", out, "--encoder", "fast", "--epochs", 3)
    assert done.exit_code == 0, done.stderr
    assert "18 pictures" in done.stderr
    assert f"LOOKSTREAM_ENCODER={out}" in done.stderr.replace("\n", "")
    assert sorted(path.name for path in out.iterdir()) == ["curves.png", "encoder.safetensors", "report.json"]
    with Image.open(out / "curves.png") as curves:
        assert curves.width > 600
    report = json.loads((out / "report.json").read_text())
    assert (report["pictures"], report["studio"], report["head"]["labels"]) == (18, 18, 3)
    encoder = open_encoder(str(out), TorchSettings(precision="float32"))  # it checks its known vector
    assert encoder.fingerprint.startswith("encoder:")


def test_confused_labels_are_named_and_drawn(shop: Path, tmp_path: Path) -> None:
    shutil.copytree(shop / "disc", shop / "button")
    out = tmp_path / "encoder"
    done = fit(shop, "--out", out, "--encoder", "fast", "--epochs", 2)
    assert done.exit_code == 0, done.stderr
    assert "1 of 1 button find disc first" in done.stderr
    pairs = json.loads((out / "report.json").read_text())["confusions"]
    assert ("button", "disc") in {(pair["label"], pair["other"]) for pair in pairs}
    with Image.open(out / "confusions.png") as sheet:
        assert sheet.width > sheet.height / 2


def test_the_same_seed_writes_the_same_bytes(shop: Path, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "other")]
    for out in folders:
        assert fit(shop, "--out", out, "--encoder", "fast", "--epochs", 2, "--seed", 7).exit_code == 0
    assert (folders[0] / FITTED).read_bytes() == (folders[1] / FITTED).read_bytes()


def test_a_head_beside_the_base_opens_with_its_known_vector(tmp_path: Path) -> None:
    backbone, projection = open_parts("fast", TorchSettings(precision="float32"))
    tensors = projection.base_tensors
    head = {
        "means": tensors["object.means"],
        "axes": tensors["object.axes"][:, :64] * 2,
        "share": [np.float32(0.25)],
    }
    tensors |= {f"head.{name}": np.array(value) for name, value in head.items()}
    tensors["known"] = known_vector(backbone, tensors, probe())
    write_projection(tmp_path / FITTED, tensors, {"backbone": "fast"})
    assert np.square(tensors["known"][:256]).sum() == pytest.approx(0.75, abs=1e-3)
    assert np.square(tensors["known"][256:320]).sum() == pytest.approx(0.25, abs=1e-3)
    assert open_encoder(str(tmp_path), TorchSettings(precision="float32")).object_size == 320


def test_pictures_without_labels_fit_the_base_alone(shop: Path, tmp_path: Path) -> None:
    table, out = tmp_path / "all.csv", tmp_path / "encoder"
    table.write_text("image\n" + "".join(f"{path.relative_to(shop)}\n" for path in shop.rglob("*.png")))
    (shop / "broken.png").write_bytes(b"nothing")
    with table.open("a") as text:
        text.write("broken.png\n")
    done = fit(table, "--image-root", shop, "--out", out, "--encoder", "fast")
    assert done.exit_code == 0, done.stderr
    assert "1 picture left out: broken.png (" in done.stderr
    assert "without labels only the base is fitted" in done.stderr
    assert "512 pictures would give axes of their own" in done.stderr
    open_encoder(str(out), TorchSettings())


def write_half(out: Path) -> None:
    with new_folder(out) as draft:
        (draft / FITTED).write_text("half")
        raise KeyboardInterrupt


def test_ctrl_c_leaves_nothing_behind_and_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "encoder"
    with new_folder(out) as draft:
        (draft / FITTED).write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_half(out)
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]
    assert (out / FITTED).read_text() == "old"


def test_an_encoder_that_cannot_be_replaced_stays(tmp_path: Path) -> None:
    out = tmp_path / "encoder"
    with new_folder(out) as draft:
        (draft / FITTED).write_text("old")
    with pytest.raises(BadInput, match="cannot be written"), new_folder(out) as draft:
        draft.rmdir()  # so that it cannot take the other's place
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]
    assert (out / FITTED).read_text() == "old"


def test_what_is_there_is_not_written_over(shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "encoder"
    out.mkdir()
    (out / "letter.txt").write_text("dear")
    done = fit(shop, "--out", out, "--force")
    assert (done.exit_code, "something else than an encoder" in done.stderr) == (2, True)
    (out / "letter.txt").rename(out / FITTED)
    done = fit(shop, "--out", out)
    assert (done.exit_code, "--force to replace it" in done.stderr) == (2, True)
    assert fit(shop, "--out", out, "--force", "--encoder", "fast", "--epochs", 1).exit_code == 0
    assert (out / "report.json").is_file()


def test_an_unknown_encoder_is_named(shop: Path, tmp_path: Path) -> None:
    done = fit(shop, "--out", tmp_path / "encoder", "--encoder", "./nowhere/at/all")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: encoder ./nowhere/at/all: ")
