"""The demo's figures and verdict: the demo must fail when one of its promises does not hold."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from infra.config.errors import BadInput
from infra.config.settings import Settings
from producers.demo.catalogue import Catalogue, describe_product, draw_catalogue
from producers.demo.figures import (
    DemoFigures,
    FirstHits,
    IngestFigures,
    LatencySpread,
    PromiseCheck,
    SearchFigures,
    complaints,
    spread,
)
from producers.demo.kinds import KINDS
from producers.demo.questions import (
    PhotoAnswer,
    SearchFunction,
    count_first_hits,
    is_found,
    sample,
    search_by_photo,
    try_filters,
    try_street,
)
from producers.demo.report import print_report, write_json, write_sheet
from producers.demo.tour import TourOptions, run_tour
from schemas.results import Hit, RegionResult, SearchResult
from schemas.searches import Crop, SearchRequest

SOME = LatencySpread(12.0, 20.0, 10)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return draw_catalogue(tmp_path_factory.mktemp("shop"), 40, seed=7)


@pytest.fixture
def figures() -> DemoFigures:
    return DemoFigures(
        ingested=IngestFigures(40, 5, 3.0, 15.0, (), SOME),
        first_hits=FirstHits(queries=10, kind=10, colour=9, both=9, product=8),
        searched=SearchFigures(SOME, SOME, SOME, SOME, SOME, SOME),
        promises=(PromiseCheck("a colour filter", True, "6 hits"),),
        encoder="fake",
    )


def hit(item_id: str) -> Hit:
    product = describe_product(item_id)
    assert product is not None
    return Hit(
        item_id=item_id,
        tenant="demo",
        score=0.9,
        image=0,
        source="catalog",
        revision=1,
        category=product.kind,
        colours=(product.colour,),
    )


def answer_with(*items: str) -> Callable[[SearchRequest], SearchResult]:
    """A system that answers every search with these hits."""

    def ask(request: SearchRequest) -> SearchResult:
        return SearchResult(request_id=request.request_id, status="ok", hits=tuple(map(hit, items)))

    return ask


def test_the_spread_of_no_times_is_zero() -> None:
    assert spread([]) == LatencySpread(0, 0, 0)


def test_the_spread_of_a_hundred_times_has_the_median_and_the_nearest_rank() -> None:
    assert spread([float(n) for n in range(1, 101)]) == LatencySpread(50.5, 95.0, 100)


def test_a_good_run_has_no_complaints(figures: DemoFigures) -> None:
    assert complaints(figures) == []


def test_too_few_right_first_hits_are_a_complaint(figures: DemoFigures) -> None:
    poor = replace(figures, first_hits=replace(figures.first_hits, both=7))
    assert complaints(poor) == ["70% of the first hits are the right kind and colour, fewer than 80%"]


def test_a_broken_promise_and_a_missing_item_are_complaints(figures: DemoFigures) -> None:
    bad = replace(
        figures,
        promises=(PromiseCheck("a colour filter", False, "6 hits, 1 of them wrong"),),
        ingested=replace(figures.ingested, missing=("p0007: no outcome came",)),
    )
    assert complaints(bad) == [
        "a colour filter: 6 hits, 1 of them wrong",
        "1 items did not become searchable: p0007: no outcome came",
    ]


def test_the_sample_has_as_many_products_as_asked_and_all_kinds_alike(catalogue: Catalogue) -> None:
    chosen = sample(catalogue, 2 * len(KINDS))
    assert len(chosen) == len(set(chosen)) == 2 * len(KINDS)
    assert {product.kind for product in chosen} == {kind.name for kind in KINDS}
    assert len(sample(catalogue, 5)) == 5
    assert sample(catalogue, 40) == list(catalogue.products)


def test_first_hits_are_counted_by_kind_colour_and_product(catalogue: Catalogue) -> None:
    right, other = catalogue.products[0], catalogue.products[1]
    answers = [search_by_photo(answer_with(item), catalogue, right) for item in (right.id, other.id)]
    answers.append(search_by_photo(answer_with(), catalogue, right))
    assert count_first_hits(answers) == FirstHits(queries=3, kind=1, colour=1, both=1, product=1)


def test_hits_that_break_a_filter_are_noticed(catalogue: Catalogue) -> None:
    trials = try_filters(answer_with(catalogue.products[0].id), catalogue)
    assert [trial.promise.kept for trial in trials] == [False, False, False, False]
    assert trials[0].promise.detail == "1 hits, 1 of them wrong"


def street_answer(catalogue: Catalogue, order: Sequence[int]) -> SearchFunction:
    """A system that finds the products of the street in its things, which it gives from right to left."""
    products = [catalogue.street_products[number] for number in order]
    regions = tuple(
        RegionResult(box=Crop(x=0.3 * place, y=0, w=0.3, h=1), objectness=0.9, hits=(hit(product.id),))
        for place, product in enumerate(products)
    )

    def ask(request: SearchRequest) -> SearchResult:
        assert request.objects == "auto"
        return SearchResult(request_id=request.request_id, status="ok", regions=regions[::-1])

    return ask


def test_each_thing_of_the_street_must_find_its_kind_where_it_is(catalogue: Catalogue) -> None:
    good = try_street(street_answer(catalogue, (0, 1, 2)), catalogue).promise
    assert (good.kept, good.detail) == (
        True,
        "backpack, chair, umbrella first, of backpack, chair, umbrella from left to right",
    )
    for order in ((0, 2, 1), (0, 1), ()):
        assert not try_street(street_answer(catalogue, order), catalogue).promise.kept


def test_no_hits_at_all_break_a_filter_promise_too(catalogue: Catalogue) -> None:
    assert not any(trial.promise.kept for trial in try_filters(answer_with(), catalogue))


def test_a_product_is_found_only_when_it_is_among_the_hits(catalogue: Catalogue) -> None:
    target, other = catalogue.products[3], catalogue.products[4]
    assert is_found(answer_with(other.id, target.id), catalogue, target)
    assert not is_found(answer_with(other.id), catalogue, target)


def test_the_json_has_the_figures_the_verdict_and_the_machine(figures: DemoFigures, tmp_path: Path) -> None:
    write_json(tmp_path / "demo.json", figures)
    figures_file = json.loads((tmp_path / "demo.json").read_text())
    assert figures_file["first_hits_right_share"] == 0.9
    assert figures_file["complaints"] == []
    assert figures_file["ingested"]["images_per_second"] == 15.0
    assert figures_file["machine"]["cores"] >= 1
    assert "numpy" in figures_file["versions"]


def test_the_sheet_is_a_picture_with_queries_and_hits(catalogue: Catalogue, tmp_path: Path) -> None:
    ask = answer_with(*(product.id for product in catalogue.products[:6]))
    photos: list[PhotoAnswer] = [search_by_photo(ask, catalogue, product) for product in catalogue.products[:5]]
    street = try_street(street_answer(catalogue, (0, 1, 2)), catalogue)
    write_sheet(tmp_path / "demo.png", catalogue, photos, [street, *try_filters(ask, catalogue)])
    with Image.open(tmp_path / "demo.png") as sheet:
        assert sheet.width > 1000
        assert sheet.height > (9 + 3) * 200, "nine searches, one of them with three things"


def test_the_report_says_what_is_wrong(figures: DemoFigures) -> None:
    console = Console(record=True, width=100, quiet=False, file=None, force_terminal=False)
    with console.capture() as figures_file:
        print_report(console, replace(figures, promises=(PromiseCheck("a category filter", False, "2 hits"),)))
    assert "9 of 10 (90.0%)" in figures_file.get()
    assert "a category filter: 2 hits" in figures_file.get()


@pytest.mark.parametrize(("products", "queries"), [(5, 1), (100_000, 1), (60, 0), (60, 61)])
def test_a_tour_of_an_impossible_size_is_refused_before_anything_starts(
    tmp_path: Path, products: int, queries: int
) -> None:
    settings = Settings(data=tmp_path / "data")
    with pytest.raises(BadInput, match=r"--(products|queries)"):
        run_tour(settings, TourOptions(products, queries, False, tmp_path), Console(quiet=True))
    assert not (tmp_path / "data").exists()
