"""The check of a feed before it is sent."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from producers.commands import app
from producers.ingest.feed_check import SAMPLE_EVERY
from tests.producers.conftest import png


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with one picture, and no broker anywhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LOOKSTREAM_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(png())
    return tmp_path


def run(*words: str) -> Result:
    found = CliRunner().invoke(app, list(words))
    assert "Traceback" not in found.output
    assert found.stdout == ""
    return found


def test_a_check_says_what_would_be_sent_and_needs_no_broker(here: Path) -> None:
    (here / "feed.csv").write_text("id,image_link,title\n" + "".join(f"{n},a.png,T{n}\n" for n in range(250)))
    found = run("ingest", "catalog", "feed.csv", "--image-root", "pictures", "--check")
    assert found.exit_code == 0, found.output
    assert "nothing was sent; 250 events would be (250 items)" in found.stderr
    assert "columns: item_id = id, title = title, image = image_link" in found.stderr
    assert '"title":"T0"' in found.stderr


def test_what_is_wrong_is_named_and_counted_by_reason(here: Path) -> None:
    (here / "pictures" / "empty.png").touch()
    rows = [
        "1,a.png",
        "2,none.png",
        ",a.png",
        "4,empty.png",
        "5,../feed.csv",
        *(f"{n},no{n}.png" for n in range(20)),
    ]
    (here / "feed.csv").write_text("id,image_link\n" + "\n".join(rows) + "\n")
    found = run("ingest", "catalog", "feed.csv", "--image-root", "pictures", "--check")
    assert found.exit_code == 1
    for part in (
        r"1 event would be \(1 item\)",
        "line 3: .*there is no picture file `none.png`",
        "21  .*there is no picture file `none.png`",
        "column `id` is empty",
        "the picture is an empty file",
        "leaves its folder",
    ):
        assert re.search(part, found.stderr), part


def test_a_check_reads_no_picture(here: Path) -> None:
    (here / "pictures" / "a.png").write_bytes(b"no picture at all")
    (here / "feed.csv").write_text("id,image_link\n1,a.png\n2,https://shop.example/b.png\n")
    found = run("ingest", "catalog", "feed.csv", "--image-root", "pictures", "--check")
    assert (found.exit_code, "2 events would be" in found.stderr) == (0, True), found.output


def test_one_picture_in_a_hundred_is_fetched_and_decoded_on_demand(here: Path) -> None:
    (here / "pictures" / "bad.png").write_bytes(b"no picture at all")
    (here / "pictures" / "cut.png").write_bytes((here / "pictures" / "a.png").read_bytes()[:60])
    names = ["a.png"] * SAMPLE_EVERY + ["bad.png"] * (SAMPLE_EVERY + 1) + ["cut.png"] * SAMPLE_EVERY
    (here / "feed.csv").write_text("id,image_link\n" + "".join(f"{n},{name}\n" for n, name in enumerate(names)))
    found = run("ingest", "catalog", "feed.csv", "--image-root", "pictures", "--check-pictures")
    assert found.exit_code == 1
    assert "fetched and decoded 1 picture of one item in 100" in found.stderr
    assert "2  image_missing" in found.stderr
    assert "1  image_unreadable" in found.stderr
    assert re.search(rf"line {SAMPLE_EVERY + 2}|{SAMPLE_EVERY}, {2 * SAMPLE_EVERY}", found.stderr)


def test_posts_deletions_and_skipped_rows_are_counted_apart(here: Path) -> None:
    (here / "posts.jsonl").write_text(
        '{"type": "Create", "object": {"type": "Image", "id": "p1", "url": "a.png"}}\n'
        '{"type": "Delete", "object": "p1"}\n'
        '{"type": "Like", "object": "p1"}\n'
    )
    found = run("ingest", "social", "posts.jsonl", "--image-root", "pictures", "--check")
    assert found.exit_code == 0, found.output
    assert "2 events would be (1 item, 1 deletion)" in found.stderr
    assert "skipped row" in found.stderr


def test_a_folder_is_scanned_without_reading_its_pictures(here: Path) -> None:
    for name, data in (("b.png", b"not read, and just written"), ("empty.png", b""), ("a.mov", b"")):
        (here / "pictures" / name).write_bytes(data)
    for _ in range(2):  # nothing is noted as sent
        found = run("ingest", "pictures", "pictures", "--check")
        assert "2 events would be (2 items)" in found.stderr
        assert "empty.png: the picture is an empty file" in found.stderr
        assert "1 file passed over: 1 .mov" in found.stderr
        assert found.exit_code == 1


def test_a_check_reports_each_row(here: Path) -> None:
    (here / "feed.csv").write_text("id,image_link\n1,a.png\n2,none.png\n")
    found = run("ingest", "catalog", "feed.csv", "--image-root", "pictures", "--check", "--report", "report.jsonl")
    assert found.exit_code == 1
    entries = [json.loads(line) for line in (here / "report.jsonl").read_text().splitlines()]
    assert [(entry["outcome"], entry.get("item_id")) for entry in entries] == [("valid", "1"), ("bad", None)]


def test_there_is_nothing_to_wait_for_in_a_check(here: Path) -> None:
    (here / "feed.csv").write_text("id,image_link\n1,a.png\n")
    found = run("ingest", "catalog", "feed.csv", "--image-root", "pictures", "--check", "--wait")
    assert (found.exit_code, "leave --wait out" in found.stderr) == (2, True), found.output


@pytest.mark.parametrize(
    "words",
    [
        ("ingest", "pictures", "pictures", "--check", "--watch"),
        ("ingest", "pictures", "pictures", "--wait", "--watch"),
        ("ingest", "debezium", "map.toml", "--topic", "t", "--check"),
        ("ingest", "debezium", "map.toml", "--topic", "t", "--wait"),
    ],
)
def test_what_has_no_end_is_neither_checked_nor_waited_for(here: Path, words: tuple[str, ...]) -> None:
    found = run(*words)
    assert (found.exit_code, "--check" in found.stderr) == (2, True), found.output
