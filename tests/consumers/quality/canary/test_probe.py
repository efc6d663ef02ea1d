"""A canary on a running system: what it finds while all is well, and that it notices what is not."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consumers.quality.canary.probe import HITS_PER_SEARCH, Canary
from consumers.quality.evaluation.over_kafka import KafkaSystem, open_over_kafka
from infra.local_state import read_local_state
from infra.metrics import CanaryMetrics
from infra.qdrant.contract import Index, ScoredPoint, SearchPlan
from infra.qdrant.embedded.client import EmbeddedIndex
from producers.demo.catalogue import draw_catalogue
from schemas.failures import Unavailable
from schemas.items import InlineImage, ItemUpserted
from tests.end_to_end.system import System, make_environment

ITEMS = 24


@pytest.fixture(scope="module")
def system(kafka_server: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A running system with some products of the demo."""
    folder = tmp_path_factory.mktemp("canary")
    catalogue = draw_catalogue(folder / "shop", ITEMS, 7)
    started = System(folder / "data", make_environment(folder / "data", {})).start()
    items = [
        ItemUpserted(
            item_id=f"i{n}", revision=1, images=(InlineImage(data=(catalogue.folder / one.image).read_bytes()),)
        )
        for n, one in enumerate(catalogue.products)
    ]
    try:
        with open_over_kafka(started.kafka, "default") as over:
            assert len(list(over.put(items))) == ITEMS
            over.put_in.clear()  # they stay
        yield started
    finally:
        started.stop()


@pytest.fixture
def index(system: System) -> Iterator[EmbeddedIndex]:
    running = read_local_state(system.folder)
    assert running is not None
    assert running.index is not None
    with closing(EmbeddedIndex(running.index)) as opened:
        yield opened


@pytest.fixture
def over(system: System) -> Iterator[KafkaSystem]:
    with open_over_kafka(system.kafka, "canary") as opened:
        yield opened


def found(canary: Canary) -> dict[str, float]:
    """What its metrics say."""
    samples = [one for family in canary.metrics.registry.collect() for one in family.samples]
    return {one.name.removeprefix("lookstream_canary_"): one.value for one in samples if not one.labels}


def make(index: Any, over: KafkaSystem) -> Canary:
    return Canary(index, over, CanaryMetrics(), "default", 8, np.random.default_rng(7))


def test_while_all_is_well_it_finds_what_is_there_soon_and_unchanged(index: Index, over: KafkaSystem) -> None:
    canary = make(index, over)
    assert canary.run_round()
    figures = found(canary)
    assert figures["recall"] == 1.0
    assert figures["first_hit_rate"] >= 0.75  # the quick encoder sees little of a thumbnail
    assert 0 < figures["freshness_seconds"] < 60
    assert figures["mean_cosine"] == pytest.approx(1)
    assert figures["norm"] == pytest.approx(1)
    assert figures["neighbour_score"] == figures["neighbour_reference"] > 0


class Forgetful:
    """An index whose graph searches miss half of what is there."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    def search(self, plans: Sequence[SearchPlan]) -> list[list[ScoredPoint]]:
        every = self._index.search(plans)
        return [
            hits if plan.exact else hits[: HITS_PER_SEARCH // 2] for plan, hits in zip(plans, every, strict=True)
        ]


def test_a_graph_that_misses_half_of_the_nearest_shows(index: Index, over: KafkaSystem) -> None:
    canary = make(Forgetful(index), over)
    assert canary.run_round()
    assert found(canary)["recall"] == 0.5


class Turned:
    """An index whose looks are not those that the reference was taken of."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    def vectors(self, ids: Sequence[str]) -> dict[str, Any]:
        return {id: 2 * np.roll(look, 7) for id, look in self._index.vectors(ids).items()}


def test_looks_that_have_turned_and_grown_show(index: Index, over: KafkaSystem) -> None:
    assert make(index, over).run_round()
    canary = make(Turned(index), over)
    assert canary.run_round()
    figures = found(canary)
    assert figures["mean_cosine"] < 0.95
    assert figures["norm"] == pytest.approx(2, rel=0.01)


def test_items_that_hide_behind_others_lower_the_rate_of_first_hits(index: Index, over: KafkaSystem) -> None:
    class Swapped(Forgetful):
        def payloads(self, ids: Sequence[str], keys: Sequence[str]) -> dict[str, Any]:
            known = self._index.payloads(ids, keys)
            thumbnails = [one["thumbnail"] for one in known.values()]
            return {
                id: {**one, "thumbnail": other}
                for (id, one), other in zip(known.items(), thumbnails[::-1], strict=True)
            }

    canary = make(Swapped(index), over)
    assert canary.run_round()
    assert found(canary)["first_hit_rate"] < 0.5


def test_an_index_that_is_away_is_a_round_that_was_not_well(index: Index, over: KafkaSystem) -> None:
    away = EmbeddedIndex(Path("nobody listens here"))
    with pytest.raises(Unavailable):
        away.status()
    canary = make(away, over)
    assert not canary.run_round()
    [rounds] = [m for m in canary.metrics.registry.collect() if m.name == "lookstream_canary_rounds"]
    assert {s.labels["result"]: s.value for s in rounds.samples if s.name.endswith("_total")} == {
        "unavailable": 1,
        "ok": 0,
    }


def test_the_command_looks_and_says_so_with_its_exit_code(system: System) -> None:
    errors = system.run("canary", "--rounds", "1", "--queries", "4").stderr
    assert "canary round finished" in errors
    elsewhere = {**system.environment, "LOOKSTREAM_DATA": str(system.folder / "none")}
    nothing = replace(system, environment=elsewhere)
    assert "lookstream up" in nothing.run("canary", "--rounds", "1", code=1).stderr
