"""`lookstream index` on an embedded index in a process of its own."""

import base64
import json
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from infra.local_state import LocalState
from infra.qdrant.commands import app
from infra.qdrant.contract import EncoderDiffers, Point
from infra.qdrant.embedded.channel import address_of
from infra.qdrant.embedded.client import EmbeddedIndex
from infra.qdrant.embedded.owner_process import serve
from infra.qdrant.point_ids import calibration_note
from infra.qdrant.points_io import copy_points, iterate_points
from infra.qdrant.server.index import ServerIndex
from schemas.failures import Unavailable
from tests.chaos.processes import wait_for
from tests.qdrant_server import own_cluster, own_settings

SIZE = 8


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedIndex]:
    """An index that runs on the data folder of the settings."""
    address = address_of(tmp_path / "index")
    monkeypatch.setenv("LOOKSTREAM_DATA", str(tmp_path))
    LocalState(os.getpid(), None, address, ready=True).write(tmp_path)
    process = get_context("spawn").Process(target=serve, args=(tmp_path / "index", address, 0))
    process.start()
    client = EmbeddedIndex(address)
    wait_for(lambda: opens(client), "the index")
    yield client
    client.close()
    process.terminate()
    process.join()


def opens(client: EmbeddedIndex) -> bool:
    """Whether the index is there, for vectors of SIZE numbers."""
    try:
        client.open("some encoder", SIZE)
    except Unavailable:
        return False
    return True


def run(*words: object) -> Result:
    """The result of a command of `lookstream index`."""
    return CliRunner().invoke(app, ["index", *(str(word) for word in words)])


def written(index: EmbeddedIndex) -> dict[str, Point]:
    """Points that were written, one of them a tombstone."""
    dead = {"item": "t:gone", "item_id": "gone", "tenant": "t", "version": 1, "state": "dead", "dead_at": 1}
    points = [Point(str(uuid.UUID(int=9)), dead, None)]
    for n in range(1, 4):
        payload = {"item": f"t:{n}", "item_id": str(n), "tenant": "t", "version": n, "state": "live", "title": "ü"}
        points.append(Point(str(uuid.UUID(int=n)), payload, np.arange(SIZE, dtype=np.float32) + n))
    index.upsert(points)
    return {point.id: point for point in points}


def test_status_tells_the_encoder_and_the_counts(index: EmbeddedIndex) -> None:
    written(index)
    printed = json.loads(run("status", "--json").stdout)
    assert (printed["fingerprint"], printed["size"], printed["live"], printed["unindexed"]) == (
        "some encoder",
        SIZE,
        3,
        3,
    )
    assert printed["calibration"] == {}
    assert re.search(r"^unindexed +3$", run("status").stdout, re.MULTILINE)


def test_status_shows_the_calibration_of_a_tenant(index: EmbeddedIndex) -> None:
    index.put_note(calibration_note("shop"), {"summary": {"metric": "own, of 12 categories"}, "points": 300})
    assert json.loads(run("status", "--tenant", "shop", "--json").stdout)["calibration"] == {
        "metric": "own, of 12 categories"
    }
    assert re.search(r"^metric +own, of 12 categories$", run("status", "--tenant", "shop").stdout, re.MULTILINE)
    assert "own" not in run("status").stdout


def test_optimise_waits_until_it_is_done(index: EmbeddedIndex) -> None:
    written(index)
    printed = run("optimise")
    assert printed.exit_code == 0
    assert "3 points, 3 outside the graph" in printed.stdout  # so few are compared one by one
    assert not index.status().wanted


def test_export_writes_every_point_with_its_vector(index: EmbeddedIndex, tmp_path: Path) -> None:
    points, file = written(index), tmp_path / "points.jsonl"
    assert f"4 points in {file}" in run("export", file).stdout
    head, *lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert head == {"fingerprint": "some encoder", "size": SIZE}
    assert {line["id"]: line["payload"] for line in lines} == {
        id: dict(point.payload) for id, point in points.items()
    }
    for line in lines:
        vector = points[line["id"]].vector
        if vector is None:
            assert line["vector"] is None
        else:
            assert np.array_equal(np.frombuffer(base64.b64decode(line["vector"]), "<f4"), vector)


def test_export_never_writes_over_a_file(index: EmbeddedIndex, tmp_path: Path) -> None:
    written(index)
    file = tmp_path / "points.jsonl"
    file.write_text("mine")
    refused = run("export", file)
    assert (refused.exit_code, file.read_text()) == (2, "mine")
    assert "exists already: name a file that does not" in refused.stderr
    assert run("export", tmp_path / "nowhere" / "points.jsonl").exit_code == 2


def test_without_an_index_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKSTREAM_DATA", str(tmp_path))
    refused = run("status")
    assert refused.exit_code == 1
    assert "no embedded index runs on" in refused.stderr


@pytest.fixture
def server(qdrant_server: str | None) -> Iterator[ServerIndex]:
    """A collection of the server of --qdrant, or else of qdrant-client's engine in memory."""
    settings = own_settings()
    with own_cluster(settings) as cluster:
        yield ServerIndex(cluster, settings)


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
def test_an_index_is_copied_as_it_is_and_again_without_harm(index: EmbeddedIndex, server: ServerIndex) -> None:
    points = written(index)
    for _ in range(2):
        assert copy_points(index, server, Console(quiet=True)) == len(points)
    there = {point.id: point for point in iterate_points(server)}
    assert there.keys() == points.keys()
    for id, point in points.items():
        assert there[id].payload == point.payload
        mine, theirs = point.vector, there[id].vector
        assert mine is theirs is None or np.allclose(np.asarray(mine), np.asarray(theirs), atol=1e-6)
    assert (server.count(), index.count()) == (3, 3)


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
def test_what_is_newer_at_the_server_stays(index: EmbeddedIndex, server: ServerIndex) -> None:
    points = written(index)
    copy_points(index, server, Console(quiet=True))
    newer = replace(points[str(uuid.UUID(int=1))], payload={**points[str(uuid.UUID(int=1))].payload, "version": 9})
    server.upsert([newer])
    copy_points(index, server, Console(quiet=True))
    assert server.payloads([newer.id], ("version",))[newer.id]["version"] == 9


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
def test_a_server_with_vectors_of_another_encoder_is_left_alone(index: EmbeddedIndex, server: ServerIndex) -> None:
    written(index)
    server.open("another encoder", SIZE)
    with pytest.raises(EncoderDiffers):
        copy_points(index, server, Console(quiet=True))
    assert server.count() == 0


def test_migrate_wants_a_server_that_answers(index: EmbeddedIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    written(index)
    assert "set LOOKSTREAM_QDRANT_URL" in run("migrate").stderr
    monkeypatch.setenv("LOOKSTREAM_QDRANT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("LOOKSTREAM_QDRANT_GRPC_PORT", "1")
    refused = run("migrate")
    assert refused.exit_code == 1
    assert "LOOKSTREAM_QDRANT_URL" in refused.stderr
