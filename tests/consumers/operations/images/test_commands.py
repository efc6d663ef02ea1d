"""The command that sweeps the content store, when there is nothing to sweep."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from consumers.operations.images.commands import app
from infra.fetching.content_store import LocalContentStore
from tests.conftest import draw_disc


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("LOOKSTREAM_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LOOKSTREAM_DATA", str(tmp_path))


def run(*words: str) -> Result:
    return CliRunner().invoke(app, [*words])


def test_without_a_content_store_the_command_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKSTREAM_KAFKA_BOOTSTRAP", "kafka.example:9092")
    done = run("images", "sweep")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "LOOKSTREAM_IMAGES_CONTENT_BUCKET" in done.stderr


def test_without_an_index_nothing_is_removed(tmp_path: Path) -> None:
    store = LocalContentStore(tmp_path / "pictures")
    ref = store.put("ana", draw_disc("#cc2222"))
    os.utime(tmp_path / "pictures" / "ana" / ref.path, (0, 0))
    done = run("images", "sweep")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no embedded index runs" in done.stderr
    assert store.exists("ana", ref.sha256 or "")
