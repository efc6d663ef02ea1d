"""The benchmark commands, small and with the quick encoder: their counts, not their times.

They run in this process. Those that need a system share one, because the start is most of their work.
"""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import typer
from typer.testing import CliRunner

from producers.demo.catalogue import draw_catalogue
from tests.benchmarks import (
    bench,
    capacity_simulation,
    indexes,
    load,
    objects,
    scale,
    search,
    two_brokers,
    verification,
)
from tests.benchmarks.whole_path import run_system
from tests.end_to_end.system import System

SEEING = {"decode", "colour", "prepare", "restore", "see"}
HOPS = {"fetch_64", "produce_64", "take_64", "commit", "reply_16"}
STAGES = SEEING | HOPS | {"encode_1", "encode_8", "upsert_64", "search_1"}

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A running system."""
    with run_system(tmp_path_factory.mktemp("bench") / "system", "fake") as system:
        yield system


@pytest.fixture
def shared(started: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the start of a system in the benchmarks by that system."""

    @contextmanager
    def found(folder: Path, encoder: str, settings: object = None) -> Iterator[System]:
        yield started

    for module in (bench, search, capacity_simulation, objects, two_brokers):
        monkeypatch.setattr(module, "run_system", found)


def run(module: ModuleType, *words: str | Path) -> None:
    """Run a benchmark with these arguments; it must succeed."""
    command = typer.Typer()
    command.command()(module.main)
    done = CliRunner().invoke(command, [str(word) for word in words])
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"


@pytest.mark.usefixtures("shared")
def test_the_benchmark_measures_every_stage_and_loses_nothing(tmp_path: Path) -> None:
    report = tmp_path / "bench.json"
    small = ("--encoder", "fake", "--pictures", "6", "--searches", "3", "--rounds", "1", "--json", str(report))
    run(bench, *small)
    figures = json.loads(report.read_text())
    assert (figures["pictures"], figures["encoder"].split(":")[0]) == (6, "fake")
    assert set(figures["stages"]) == STAGES
    compared = [figures["plain_loop"], figures["batch_script"]]
    measured = [*figures["stages"].values(), *compared, figures["whole_path"]]
    assert all(len(one["rounds"]) == 1 and min(one["rounds"]) > 0 for one in measured)
    assert figures["whole_path"]["indexed"] == [6]
    assert (figures["searches"]["sent"], figures["searches"]["ok"]) == (3, 3)
    assert set(figures["searches"]["steps"]) == {"queued", "fetched", "decoded", "encoded", "searched", "elsewhere"}
    assert all(figures["machine"][name] for name in ("processor", "cores", "python"))
    assert {"torch", "confluent-kafka", "numpy"} <= set(figures["versions"])
    assert len(figures["ratios"]) == 5
    assert min(figures["ratios"].values()) > 0
    assert min(figures["limits"].values()) > 0


def lay_out_composites(folder: Path) -> None:
    """The tables of things and grounds that composites are drawn from, with the pictures of a drawn catalogue."""
    products = draw_catalogue(folder / "grocery", 12, 7).products
    rows = [(one.image, "catalog", one.kind) for one in products] + [(products[0].photo, "val", products[0].kind)]
    with (folder / "grocery" / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "split", "label"), *rows])
    (folder / "fashion").mkdir()
    with (folder / "fashion" / "products.csv").open("w", newline="") as file:
        clothes = [(f"../grocery/{one.image}", str(10 * number)) for number, one in enumerate(products)]
        csv.writer(file).writerows([("image", "id"), *clothes])


@pytest.mark.usefixtures("shared")
def test_searches_with_objects_and_without_are_all_answered(tmp_path: Path) -> None:
    lay_out_composites(tmp_path)
    report = tmp_path / "objects.json"
    small = ("--encoder", "fake", "--items", "6", "--rounds", "1", "--seconds", "1", "--json", str(report))
    run(objects, tmp_path, *small)
    figures = json.loads(report.read_text())
    assert all((figures[kind]["sent"], figures[kind]["answered"]) == (5, 5) for kind in ("none", "auto"))
    assert all(figures[kind]["whole_p95_ms"] > 0 for kind in ("none", "auto"))


@pytest.mark.usefixtures("shared")
def test_the_search_benchmark_answers_and_indexes_everything(tmp_path: Path) -> None:
    report = tmp_path / "search.json"
    small = ("--pictures", "24", "--points", "300", "--queries", "5", "--seconds", "1")
    places = ("--cache", str(tmp_path / "looks"), "--json", str(report))
    run(search, "--encoder", "fake", *small, *places)
    figures = json.loads(report.read_text())
    measured, watch_matching = figures["measured"], figures["watch_matching"]
    assert watch_matching["matches"] > 0
    assert min(watch_matching["looking_ms"], watch_matching["matching_ms"]) > 0
    assert len(measured["calls"]) == 5
    for calls in measured["calls"].values():
        assert calls["recall"] == 1.0  # so few points are compared one by one
        assert calls["worst_score"] <= 1e-4
    assert (measured["searches"]["sent"], measured["searches"]["answered"]) == (5, 5)
    for kind in ("indexed", "removed"):
        assert (measured[kind]["events"], measured[kind]["done"]) == (20, 20)


def test_the_load_benchmark_loses_nothing_alone_together_and_grown(tmp_path: Path) -> None:
    report = tmp_path / "load.json"
    small = ("--pictures", "4", "--seconds", "1", "--sizes", "100", "--rates", "5", "--json", str(report))
    run(load, "--encoder", "fake", *small)
    measured = json.loads(report.read_text())["measured"]
    assert set(measured["ready_s"]) == {"broker, topics and index", "index worker", "query worker", "all"}
    assert {name: indexing["indexed"] for name, indexing in measured["sets"].items()} == {
        "drawn": 4,
        "12 megapixels": 4,
    }
    assert measured["low"]["indexed"] == 2
    assert set(measured["alone"]) == {"5 a second", "saturation"}
    assert set(measured["grown"]) == {"100"}
    searches = [*measured["alone"].values(), *measured["while_indexing"].values()]
    assert all(len(one["whole"]) == 3 and one["whole"] >= one["beyond"] for one in searches)
    assert min(measured["memory_mb"].values()) > 0


def test_the_index_is_compared_with_the_installed_libraries(tmp_path: Path) -> None:
    report = tmp_path / "indexes.json"
    small = ("--points", "600", "--queries", "5", "--json", str(report))
    run(indexes, *small)
    efforts = json.loads(report.read_text())["indexes"]["lookstream, embedded"]["efforts"]
    assert all(found["recall"] == 1.0 for found in efforts.values())  # so few points are compared one by one


def test_the_index_is_compared_on_looks_at_the_pictures_of_a_folder(tmp_path: Path) -> None:
    catalogue = draw_catalogue(tmp_path / "shop", 20, 7)
    with (tmp_path / "shop" / "products.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "articleType"), *((p.image, p.kind) for p in catalogue.products)])
    report = tmp_path / "indexes.json"
    places = ("--data", str(tmp_path / "shop"), "--cache", str(tmp_path / "looks"), "--json", str(report))
    run(indexes, "--encoder", "fake", "--points", "200", *places)
    figures = json.loads(report.read_text())
    assert (figures["vectors"], figures["points"]) == ("looks", 200)
    assert figures["indexes"]["lookstream, embedded"]["efforts"]["256"]["recall"] >= 0.9


@pytest.mark.usefixtures("shared")
def test_what_the_simulation_predicts_is_compared_with_a_system(tmp_path: Path) -> None:
    report = tmp_path / "simulated.json"
    small = ("--encoder", "fake", "--pictures", "8", "--warm", "24", "--items", "24", "--json", str(report))
    run(capacity_simulation, *small)
    figures = json.loads(report.read_text())
    assert figures["service"]["each"] > 0
    for one in figures["loads"].values():
        assert set(one["errors"]) == {"p50_s", "p95_s", "longest_line"}
        assert min(*one["measured"].values(), *one["predicted"].values()) > 0


@pytest.mark.usefixtures("shared")
def test_searches_over_a_broker_are_measured_and_compared_with_the_broker_alone(tmp_path: Path) -> None:
    report = tmp_path / "two.json"
    small = ("--kafka", "local", "--pictures", "6", "--rounds", "1", "--rate", "5", "--seconds", "1")
    run(two_brokers, *small, "--encoder", "fake", "--json", report)
    local = json.loads(report.read_text())["local"]
    for name in ("rounds", "echoes"):
        [measured] = local[name]
        assert measured["answered"] == measured["sent"] == 5
        assert measured["whole"]["p50"] > 0


def test_the_cost_of_verification_is_measured_with_its_parts(tmp_path: Path) -> None:
    report = tmp_path / "verification.json"
    run(verification, "--encoder", "fake", "--items", "8", "--queries", "3", "--json", report)
    figures = json.loads(report.read_text())
    assert figures["searches"] == 3
    assert min(figures[part] for part in ("without", "verified", "extraction", "matching", "fetch_wall")) > 0


def test_the_benchmark_of_scale_writes_to_every_store_while_it_searches(tmp_path: Path) -> None:
    report = tmp_path / "scale.json"
    run(
        scale,
        "--points",
        "600",
        "--width",
        "8",
        "--seconds",
        "2",
        "--only",
        "lookstream",
        "--only",
        "Edge",
        "--json",
        report,
    )
    stores = json.loads(report.read_text())["stores"]
    assert list(stores) == ["lookstream, embedded", "Qdrant Edge by itself"]
    for store in stores.values():
        assert store["under_writes"]["written"] > 0
        assert store["at_rest"]["recall"] == store["under_writes"]["recall"] == 1.0
