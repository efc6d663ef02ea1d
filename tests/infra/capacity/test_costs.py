"""The costs of a plan: they follow the prices, and a budget holds exactly as many items as the plan says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.capacity.constants import MeasuredConstants
from infra.capacity.costs import Prices, costs_of, items_within, read_prices
from infra.capacity.plan import CapacityTarget, make_plan
from infra.config.errors import BadInput
from tests.infra.capacity.test_plan import BILLION, LOADS, lookstream

PRICES = Prices(node=700, disk_gb=0.1, worker=50)


def test_a_plan_costs_its_nodes_disks_and_workers() -> None:
    plan = make_plan(BILLION, MeasuredConstants())
    costs = costs_of(plan, PRICES)
    assert costs.index == plan.nodes * 700
    assert costs.disk == pytest.approx(plan.disk_gb * 0.1)
    assert costs.workers == (plan.index_workers + plan.query_workers) * 50
    small = make_plan(CapacityTarget(items=1_000, searches=1, changes=0.1), MeasuredConstants())
    assert costs_of(small, PRICES).index == 0


@given(LOADS, st.floats(10, 1e6))
def test_a_budget_holds_what_it_says_and_hardly_more(target: CapacityTarget, budget: float) -> None:
    held = items_within(budget, target, MeasuredConstants(), PRICES)

    def cost(items: float) -> float:
        changes = target.changes * items / target.items
        return costs_of(make_plan(replace(target, items=items, changes=changes), MeasuredConstants()), PRICES).total

    if held:
        assert cost(held) <= budget
    assert cost(held * 1.000001 + 2) > budget


def test_a_plan_above_the_budget_fails_and_says_how_many_items_it_holds(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text("node = 700\ndisk_gb = 0.1\nworker = 50\n")
    words = ("--items", "1e9", "--searches", "100/s", "--prices", str(tmp_path / "prices.toml"))
    plain = lookstream(*words, "--json")
    cost = json.loads(plain.stdout)["cost"]
    assert plain.returncode == 0
    assert lookstream(*words, "--budget", str(cost)).returncode == 0
    tight = lookstream(*words, "--budget", str(cost / 2))
    assert tight.returncode == 1
    assert "items that the budget holds" in tight.stdout
    assert lookstream("--budget", "5").returncode == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("node = 1", "disk_gb: field required; it names node, disk_gb and worker"),
        ("node = -1\ndisk_gb = 1\nworker = 1", "node: input should be greater"),
        ("nodes = 1\nnode = 1\ndisk_gb = 1\nworker = 1", "nodes: extra"),
        ("what", "is not TOML"),
    ],
)
def test_prices_that_are_none_are_refused_with_the_name(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "prices.toml").write_text(text)
    with pytest.raises(BadInput, match=why):
        read_prices(tmp_path / "prices.toml")
    with pytest.raises(BadInput, match="cannot be read: no such file"):
        read_prices(tmp_path / "none.toml")
