"""A real broker for the producers' tests, and pictures to send."""

import io
import random
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from infra.config.kafka import KafkaSettings
from tests.kafka.shared import environment_of
from tests.scripted_query_worker import RunQueryWorker, run_query_worker


@pytest.fixture
def answer(kafka: KafkaSettings) -> RunQueryWorker:
    """`with answer(respond): ...` runs a query worker that answers with `respond`."""
    return lambda respond: run_query_worker(kafka, respond)


def png(width: int = 64, height: int = 48, colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "PNG")
    return out.getvalue()


def noise(width: int, height: int, kind: str = "PNG", **options: object) -> bytes:
    """A picture that hardly gets smaller by compression."""
    picture = Image.frombytes("RGB", (width, height), random.Random(3).randbytes(width * height * 3))
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


@pytest.fixture
def picture() -> bytes:
    """A small red PNG."""
    return png()


@contextmanager
def run_command(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> "Iterator[subprocess.Popen[str]]":
    """Run a command in the background until the block ends."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder, env=dict(environment)) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def here(kafka: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: bytes) -> Path:
    """An empty folder with one picture, in which commands reach the broker."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment_of(kafka).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "a.png").write_bytes(picture)
    return tmp_path
