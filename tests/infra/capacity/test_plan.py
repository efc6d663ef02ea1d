"""The plan of a load: it grows with the load, states no unmeasured figure, and names the nearest limit."""

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.capacity.constants import MeasuredConstants, read_measured
from infra.capacity.plan import (
    NODE_GB,
    NODE_POINTS,
    REGION_PAYLOAD_BYTES,
    USED,
    CapacityPlan,
    CapacityTarget,
    indexing_factor,
    make_plan,
    payload_bytes,
)
from infra.config.errors import BadInput
from tests.end_to_end import forked_cli

ROOT = Path(__file__).parents[3]
BILLION = CapacityTarget(items=1e9, searches=2_000, changes=400)
LOADS = st.builds(
    CapacityTarget,
    items=st.floats(1, 1e11),
    searches=st.floats(0.01, 1e5),
    changes=st.floats(0.01, 1e5),
    pictures=st.floats(1, 8),
    regions=st.floats(0, 10),
    replicas=st.integers(1, 4),
)


def sizes(plan: CapacityPlan) -> list[float]:
    words = [plan.words_memory_gb]
    return [plan.memory_gb, plan.disk_gb, plan.query_workers, plan.index_workers, plan.engine_cores, *words]


@given(LOADS)
def test_nodes_hold_what_they_are_given_and_workers_do_what_comes(target: CapacityTarget) -> None:
    plan, measured = make_plan(target, MeasuredConstants()), MeasuredConstants()
    if not plan.embedded:
        assert plan.memory_gb <= plan.nodes * NODE_GB * USED * 1.000001
        assert target.points * target.replicas <= plan.nodes * NODE_POINTS * 1.000001
        assert plan.shards >= 12
        assert plan.shards * plan.copies >= plan.nodes, "no node is left without a shard"
        assert plan.copies >= target.replicas
    assert target.searches <= plan.query_workers * measured.searches_a_second
    assert target.changes <= plan.index_workers * measured.photos_a_second
    assert plan.item_partitions >= plan.index_workers
    assert plan.request_partitions >= plan.query_workers


@given(LOADS, st.floats(1.5, 20))
def test_a_larger_load_never_needs_less(target: CapacityTarget, times: float) -> None:
    more = replace(
        target, items=target.items * times, searches=target.searches * times, changes=target.changes * times
    )
    pairs = zip(
        sizes(make_plan(target, MeasuredConstants())), sizes(make_plan(more, MeasuredConstants())), strict=True
    )
    assert all(larger >= smaller for smaller, larger in pairs)


def test_a_billion_is_hundreds_of_gigabytes_and_tens_of_nodes() -> None:
    plan = make_plan(BILLION, MeasuredConstants())
    assert not plan.embedded
    assert 900 < plan.memory_gb / BILLION.replicas < 1_200
    assert 10 <= plan.nodes <= 40
    assert any("pinned" in warning for warning in plan.warnings)


def test_the_words_of_items_are_a_part_of_the_memory_and_need_time_for_each_item() -> None:
    plan, measured = make_plan(BILLION, MeasuredConstants()), MeasuredConstants()
    without = make_plan(BILLION, replace(measured, words_bytes=0, words_us=0))
    assert plan.words_memory_gb == pytest.approx(BILLION.items * measured.words_bytes * plan.copies / 1e9)
    assert plan.memory_gb / plan.copies - without.memory_gb / without.copies == pytest.approx(
        plan.words_memory_gb / plan.copies
    )
    assert plan.words_ms == pytest.approx(BILLION.items / plan.shards * measured.words_us / 1000)
    assert not any("by words" in warning for warning in without.warnings)


def test_a_small_shop_needs_one_machine_and_no_warning() -> None:
    plan = make_plan(CapacityTarget(items=50_000, searches=2, changes=0.1), MeasuredConstants())
    assert (plan.embedded, plan.nodes, plan.query_workers, plan.index_workers) == (True, 1, 1, 1)
    assert plan.warnings == ()


@pytest.mark.parametrize(("change", "named"), [
    ({"p95_ms": 50.0}, "a search alone"),
    ({"p95_ms": 300.0}, "a search by words"), ({"freshness_s": 0.1}, "an item alone"),
    ({"changes": 1e5}, "optimiser"),
])  # fmt: skip
def test_limits_that_a_plan_exceeds_are_warnings(change: dict[str, Any], named: str) -> None:
    assert any(named in warning for warning in make_plan(replace(BILLION, **change), MeasuredConstants()).warnings)


def test_the_constants_of_another_machine_are_taken_from_its_benchmark(tmp_path: Path) -> None:
    load = {
        "sets": {"drawn": {"rate": 40.0}, "train": {"rate": 20.0}},
        "alone": {"5 a second": {"whole": [50.0, 80.0, 90.0]}, "saturation": {"rate": 30.0}},
        "low": {"fresh": [90.0, 120.0, 150.0]},
    }
    (tmp_path / "bench-load.json").write_text(json.dumps({"measured": load}))
    measured = read_measured([tmp_path / "bench-load.json"])
    assert measured == MeasuredConstants(
        photos_a_second=20, searches_a_second=30, search_p95_ms=80, fresh_p95_ms=120
    )
    assert make_plan(BILLION, measured).query_workers < make_plan(BILLION, MeasuredConstants()).query_workers


TORN = {
    "sets": {}, "alone": {"5 a second": {"whole": 5}, "saturation": {"rate": 30.0}}, "low": {"fresh": [1.0]}
}  # fmt: skip


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"measured": {"sets": 1}}', json.dumps({"measured": TORN})])
def test_a_file_that_is_no_benchmark_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(BadInput, match="make bench"):
        read_measured([tmp_path / "other.json"])
    with pytest.raises(BadInput, match="cannot be read"):
        read_measured([tmp_path / "none.json"])


def lookstream(*words: str) -> "subprocess.CompletedProcess[str]":
    return forked_cli.run(["plan", *words], {**os.environ, "COLUMNS": "100"}, ROOT, 60)


def test_the_command_gives_people_and_programs_the_same_figures() -> None:
    words = ("--items", "1e9", "--searches", "2000/s", "--p95", "200ms", "--freshness", "1s")
    printed, document = lookstream(*words), json.loads(lookstream(*words, "--json").stdout)
    assert printed.returncode == 0
    assert f"{document['nodes']} nodes, {document['shards']} shards" in printed.stdout
    assert "mind:" in printed.stdout


def test_the_plan_in_the_documentation_is_what_the_command_says() -> None:
    page = (ROOT / "docs" / "scale.md").read_text()
    [found] = re.findall(r"```sh\nlookstream plan (.*)\n```\n\n```text\n((?:.*\n)*?)```", page)
    assert lookstream(*found[0].split()).stdout == found[1]


@pytest.mark.parametrize(("words", "named"), [
    (("--items", "many"), "--items many"), (("--p95", "200"), "--p95 200"), (("--searches", "-3/s"), "-3/s"),
])  # fmt: skip
def test_what_is_no_number_is_named(words: tuple[str, str], named: str) -> None:
    done = lookstream(*words)
    assert done.returncode == 2
    assert named in done.stderr


# --- regions ---

POSTS = CapacityTarget(items=1e8, searches=100, changes=40, pictures=2)


def test_without_regions_nothing_changes() -> None:
    assert indexing_factor(2, 0) == 1
    assert payload_bytes(2, 0, 11_200) == 11_200
    assert make_plan(replace(POSTS, regions=0.0), MeasuredConstants()) == make_plan(POSTS, MeasuredConstants())


def test_regions_are_points_with_small_payloads() -> None:
    plain, regions = (
        make_plan(POSTS, MeasuredConstants()),
        make_plan(replace(POSTS, regions=2.0), MeasuredConstants()),
    )
    assert regions.points == 2 * plain.points
    assert regions.memory_gb > 1.9 * plain.memory_gb
    assert plain.disk_gb < regions.disk_gb < 1.5 * plain.disk_gb
    assert regions.index_workers > plain.index_workers
    assert payload_bytes(1, 1, 11_200) == pytest.approx((11_200 + REGION_PAYLOAD_BYTES) / 2)


@given(st.floats(1, 8), st.floats(0, 40), st.floats(0.1, 10))
def test_more_regions_never_take_less_time(pictures: float, regions: float, more: float) -> None:
    assert indexing_factor(pictures, regions + more) > indexing_factor(pictures, regions) >= 1
