"""References to pictures in events."""

from pathlib import Path

import pytest

from infra.config.errors import BadInput
from infra.fetching.content_store import LocalContentStore
from producers.catalog import CatalogFormat, read_items
from producers.column_mapping import choose_columns
from producers.image_packer import ImagePacker
from producers.image_refs import choose_root, image_reference, threads_for
from producers.row_reader import BadRow, SkippedRow
from schemas.failures import Rejected
from schemas.items import FileImage, InlineImage, ItemUpserted, S3Image, UrlImage
from tests.producers.feed_events import events_of

PACKER = ImagePacker(threads=3)


def test_addresses_and_paths_become_the_right_kind_of_picture(tmp_path: Path, picture: bytes) -> None:
    (tmp_path / "a.png").write_bytes(picture)
    inside, named = choose_root(str(tmp_path), {}, PACKER), choose_root("shop", {"shop": tmp_path}, PACKER)
    assert image_reference("https://a.test/b.jpg", inside) == UrlImage(url="https://a.test/b.jpg")
    assert image_reference("s3://bucket/a/b.jpg", inside) == S3Image(bucket="bucket", key="a/b.jpg")
    assert image_reference("a.png", inside) == InlineImage(data=picture)
    assert image_reference("./a.png", named) == FileImage(root="shop", path="a.png")


@pytest.mark.parametrize("path", ["../a.png", "x/../../a.png", "/../a.png"])
def test_a_path_that_leaves_the_root_is_rejected(tmp_path: Path, path: str) -> None:
    for locate in (choose_root(str(tmp_path), {}, PACKER), choose_root("shop", {"shop": tmp_path}, PACKER)):
        with pytest.raises(Rejected, match="leaves its folder"):
            image_reference(path, locate)


@pytest.mark.parametrize(
    "path", ["/m/a b.png", "m\\a b.png", "\\m\\a b.png", "m/a%20b.png", "/m/a%20b.png?v=2", " m/a b.png"]
)
def test_a_path_is_found_in_the_spellings_of_exports(tmp_path: Path, picture: bytes, path: str) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a b.png").write_bytes(picture)
    assert image_reference(path, choose_root(str(tmp_path), {})) == InlineImage(data=picture)


def test_a_path_below_a_named_root_is_relative(tmp_path: Path) -> None:
    named = choose_root("shop", {"shop": tmp_path})
    for path in ("/m/a.png", "m/a.png", "m\\a.png", str(tmp_path / "m/a.png")):
        assert image_reference(path, named) == FileImage(root="shop", path="m/a.png")


def test_an_absolute_path_outside_is_looked_for_below_the_root(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="there is no picture file `etc/passwd`"):
        image_reference("/etc/passwd", choose_root(str(tmp_path), {}))


def test_a_path_without_a_root_names_the_option() -> None:
    with pytest.raises(Rejected, match="--image-root"):
        image_reference("a.png", choose_root(None, {}, PACKER))


def test_a_root_that_is_neither_folder_nor_name_is_refused() -> None:
    with pytest.raises(BadInput, match=r"LOOKSTREAM_IMAGES_ROOTS \(it has: shop\)"):
        choose_root("barn", {"shop": Path("/shop")}, PACKER)


def test_only_pictures_of_a_folder_are_worth_threads(tmp_path: Path) -> None:
    roots = {"shop": tmp_path}
    assert [threads_for(choose_root(text, roots, PACKER)) for text in (str(tmp_path), "shop", None)] == [3, 0, 0]


def test_rows_of_a_feed_stay_in_order_while_their_pictures_are_packed_in_threads(
    tmp_path: Path, picture: bytes
) -> None:
    rows, store = ["id,title,image_link"], LocalContentStore(tmp_path / "kept")
    for n in range(60):
        if n % 7:
            (tmp_path / f"{n}.png").write_bytes(picture + b"%d" % n)
        rows.append(f"{n},Item {n},{n}.png")
    feed = tmp_path / "feed.csv"
    feed.write_text("\n".join(rows))
    locate = choose_root(str(tmp_path), {}, ImagePacker(store=store, tenant="shop", threads=3))
    rows_read = events_of(read_items(feed, CatalogFormat(choose_columns(feed, ()), locate, "shop")))
    found = [row for row in rows_read if not isinstance(row, SkippedRow)]
    assert [row.line - 2 if isinstance(row, BadRow) else int(row.item_id) for row in found] == list(range(60))
    assert sum(isinstance(row, BadRow) for row in found) == 9
    items = [row for row in found if isinstance(row, ItemUpserted)]
    assert [item.revision for item in items] == sorted({item.revision for item in items})
    refs = [item.images[0] for item in items]
    assert all(isinstance(ref, FileImage) and store.exists("shop", ref.sha256 or "") for ref in refs)
