"""The demo's drawings: the same seed gives the same pictures, in the colours of their names."""

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from consumers.vision.colour import make_colour_extractor
from producers.catalog import CatalogFormat, read_items
from producers.column_mapping import choose_columns
from producers.demo.catalogue import MAX_PRODUCTS, Catalogue, describe_product, draw_catalogue
from producers.demo.drawing import WHITE, Finish, Pen
from producers.demo.kinds import COLOURS, KINDS
from producers.demo.patterns import PATTERNS, Pattern, second_colour
from producers.demo.photo import ORIENTATION
from producers.image_packer import ImagePacker
from producers.image_refs import FolderImages
from producers.social.posts import SocialFormat as PostReading
from producers.social.posts import read_posts
from schemas.items import ItemUpserted
from tests.producers.feed_events import events_of

PRODUCTS = 36


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return draw_catalogue(tmp_path_factory.mktemp("shop"), PRODUCTS, seed=7)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_seed_draws_the_same_files(tmp_path: Path) -> None:
    for name, seed in (("one", 7), ("two", 7), ("three", 8)):
        draw_catalogue(tmp_path / name, 3, seed)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert files(tmp_path / "one")["images/p0001.jpg"] != files(tmp_path / "three")["images/p0001.jpg"]


def test_the_shop_is_as_large_and_as_varied_as_promised() -> None:
    shop = [describe_product(f"p{number:04}") for number in range(1, 289)]
    products = [product for product in shop if product is not None]
    assert len({product.kind for product in products}) >= 12
    assert len({product.colour for product in products}) >= 8
    assert len({product.pattern for product in products}) >= 4
    assert len({(product.kind, product.colour, product.pattern) for product in products}) == 288


def test_no_two_products_of_the_largest_shop_are_of_one_kind_colour_and_pattern() -> None:
    every = [describe_product(f"p{number:04}") for number in range(1, MAX_PRODUCTS + 1)]
    assert len({(p.kind, p.colour, p.pattern) for p in every if p is not None}) == MAX_PRODUCTS


@pytest.mark.parametrize("name", ["p0000", f"p{MAX_PRODUCTS + 1}", "x", "", "https://social.example/@a/posts/1"])
def test_an_id_that_is_no_product_has_no_truth(name: str) -> None:
    assert describe_product(name) is None


@pytest.mark.parametrize("count", [0, MAX_PRODUCTS + 1])
def test_a_shop_that_cannot_be_drawn_is_refused_with_what_can(tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match=f"1 to {MAX_PRODUCTS} products, not {count}"):
        draw_catalogue(tmp_path, count, seed=1)


def test_every_product_has_a_studio_shot_and_a_photo_that_differ(catalogue: Catalogue) -> None:
    for product in catalogue.products:
        with Image.open(catalogue.folder / product.image) as studio:
            assert studio.size == (480, 480)
            assert np.asarray(studio)[2, 2].min() >= 240
        with Image.open(catalogue.folder / product.photo) as photo:
            assert min(photo.size) >= 384


def test_some_photos_were_taken_with_the_camera_held_askew(catalogue: Catalogue) -> None:
    turns: Counter[int] = Counter()
    for product in catalogue.products:
        with Image.open(catalogue.folder / product.photo) as photo:
            turns[photo.getexif()[ORIENTATION]] += 1
    assert 1 in turns
    assert turns.keys() & {3, 6, 8}


def test_the_photo_of_the_street_shows_the_first_product_of_three_kinds(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    assert [product.kind for product in catalogue.street_products] == ["backpack", "chair", "umbrella"]
    with Image.open(catalogue.street_photo) as photo:
        assert photo.size == (640, 480)
        pixels = np.asarray(photo, np.int16)
    places = [pixels[100:400, left : left + 213].reshape(-1, 3) for left in (0, 213, 426)]
    assert all(np.ptp(place, axis=0).min() > 60 for place in places), "there is a thing in each third"
    assert not draw_catalogue(tmp_path, 3, seed=7).street_photo.exists(), "three products lack its kinds"


def test_progress_is_reported_after_each_product(tmp_path: Path) -> None:
    drawn: list[int] = []
    draw_catalogue(tmp_path, 4, seed=1, drawn=lambda: drawn.append(1))
    assert len(drawn) == 4


def test_the_catalogue_file_reads_as_items_without_a_bad_row(catalogue: Catalogue) -> None:
    path = catalogue.products_file
    reading = CatalogFormat(choose_columns(path, ()), FolderImages(catalogue.folder, ImagePacker()), "demo")
    items = list(events_of(read_items(path, reading)))
    assert [item.item_id for item in items if isinstance(item, ItemUpserted)] == [p.id for p in catalogue.products]
    for item, product in zip(items, catalogue.products, strict=True):
        assert isinstance(item, ItemUpserted)
        assert item.category == product.kind
        assert item.currency == "EUR"
        assert item.attributes["color"] == product.colour


def test_the_catalogue_file_has_the_columns_of_google_merchant(catalogue: Catalogue) -> None:
    with catalogue.products_file.open(newline="") as file:
        columns = csv.DictReader(file).fieldnames
    column_names = {"id", "title", "image_link", "price", "availability", "product_type", "brand", "color", "link"}
    assert columns is not None
    assert set(columns) == column_names


def test_the_posts_read_as_items_of_their_creators(catalogue: Catalogue) -> None:
    posts = list(
        events_of(
            read_posts(catalogue.posts_file, PostReading(FolderImages(catalogue.folder, ImagePacker()), "demo"))
        )
    )
    assert len(posts) == len(catalogue.posts) > 0
    for post, true in zip(posts, catalogue.posts, strict=True):
        assert isinstance(post, ItemUpserted)
        assert post.item_id == true.id
        assert post.creator == true.creator
        assert post.created_at is not None
        assert true.product.colour in post.tags


def test_each_post_is_an_activity_on_its_own_line(catalogue: Catalogue) -> None:
    lines = [json.loads(line) for line in catalogue.posts_file.read_text().splitlines()]
    assert {line["type"] for line in lines} == {"Create"}
    assert len({line["object"]["id"] for line in lines}) == len(lines)


def test_a_person_would_name_the_colour_of_nearly_every_studio_shot(catalogue: Catalogue) -> None:
    colours = make_colour_extractor()
    named = 0
    for product in catalogue.products:
        with Image.open(catalogue.folder / product.image) as studio:
            names = colours.extract(studio.convert("RGB")).names
        assert product.colour in names
        named += names[0] == product.colour
    assert named >= 0.9 * len(catalogue.products)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_leaves_most_of_the_cloth_in_its_own_colour(pattern: Pattern) -> None:
    share = second_colour(pattern, np.random.default_rng(3))
    if pattern == "plain":
        assert share is None
    else:
        assert share is not None
        assert 0.1 < share.mean() < 0.45


@pytest.mark.parametrize("draw", [kind.draw for kind in KINDS], ids=[kind.name for kind in KINDS])
def test_each_kind_fills_its_sheet_and_shows_its_colour(draw: Callable[[Pen], None]) -> None:
    pen = Pen(Finish(COLOURS["red"], WHITE, "plain"), np.random.default_rng(1))
    draw(pen)
    cutout = np.asarray(pen.cutout()).astype(int)
    solid = cutout[..., 3] > 200
    rows, columns = np.nonzero(solid)
    assert max(np.ptp(rows), np.ptp(columns)) > 0.75 * 480
    reddish = (cutout[..., 0] > 90) & (cutout[..., 0] > 1.8 * cutout[..., 1])
    assert (reddish & solid).sum() > 0.4 * solid.sum()


def test_a_photo_turned_upright_is_in_one_of_the_frames(catalogue: Catalogue) -> None:
    for product in catalogue.products[:6]:
        with Image.open(catalogue.folder / product.photo) as photo:
            assert sorted(ImageOps.exif_transpose(photo).size) in ([384, 512], [448, 448])
