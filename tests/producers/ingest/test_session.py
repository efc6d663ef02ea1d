"""Commands that wait for outcomes, against a real broker, with a scripted index worker."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from typer.testing import CliRunner, Result

from infra.config.kafka import KafkaSettings
from infra.kafka import TopicReader
from producers.commands import app
from schemas.failures import Code
from schemas.items import ItemDeleted, ItemEvent
from schemas.outcomes import ItemIndexed, ItemOutcome, ItemSuperseded
from schemas.topics import CATALOG_ITEMS
from tests.scripted_index_worker import default_outcomes, rejected, run_index_worker

ROOT = Path(__file__).parents[3]
REMEDY = "revision 2 is below 1764000000000000, a time"


def run(*words: str) -> Result:
    found = CliRunner().invoke(app, list(words))
    assert "Traceback" not in found.output
    assert found.stdout == ""
    return found


def feed(folder: Path, count: int, *rows: str) -> Path:
    """A feed of so many good rows, and others behind them."""
    path = folder / "feed.csv"
    path.write_text(
        "id,image_link\n" + "".join(f"{n},a.png\n" for n in range(count)) + "".join(f"{r}\n" for r in rows)
    )
    return path


def mixed(event_id: str, item: ItemEvent) -> list[ItemOutcome]:
    """A different outcome for some items."""
    common: dict[str, object] = {"event_id": event_id, "tenant": item.tenant, "item_id": item.item_id}
    common |= {"source": item.source, "revision": item.revision}
    match item.item_id:
        case "1":
            return [rejected(event_id, item, Code.IMAGE_UNREADABLE, "the picture is broken")]
        case "2":
            return [ItemSuperseded.model_validate(common | {"newest": item.revision + 1, "message": REMEDY})]
        case "3":
            return [ItemIndexed.model_validate(common | {"images": 0, "unchanged": 1})]
        case _:
            return default_outcomes(event_id, item)


def test_all_is_well_when_each_event_is_indexed(here: Path, kafka: KafkaSettings) -> None:
    feed(here, 250)
    with run_index_worker(kafka):
        found = run("ingest", "catalog", "feed.csv", "--image-root", ".", "--wait")
    assert found.exit_code == 0, found.output
    assert re.search(r"indexed, new pictures +250", found.stderr)
    assert "sent 250 events" in found.stderr


def test_the_table_and_the_report_say_what_has_become_of_each_row(here: Path, kafka: KafkaSettings) -> None:
    feed(here, 5, "5,none.png")
    with run_index_worker(kafka, mixed):
        found = run("ingest", "catalog", "feed.csv", "--image-root", ".", "--wait", "--report", "report.jsonl")
    assert found.exit_code == 1, found.output
    for part in (
        "indexed, new pictures +2",
        "indexed, pictures unchanged +1",
        f"superseded +1 +{REMEDY}",
        "rejected +1 +image_unreadable: the picture is broken",
        "bad row +1 +.*there is no picture file `none.png`",
    ):
        assert re.search(part, found.stderr), part
    entries = [json.loads(line) for line in (here / "report.jsonl").read_text().splitlines()]
    by_item = {entry.get("item_id"): entry for entry in entries}
    assert {item: entry["outcome"] for item, entry in by_item.items()} == {
        "0": "indexed",
        "1": "rejected",
        "2": "superseded",
        "3": "indexed",
        "4": "indexed",
        None: "bad",
    }
    assert (by_item["1"]["code"], by_item["1"]["message"]) == ("image_unreadable", "the picture is broken")
    assert by_item[None]["line"] == 7


def test_a_report_may_be_a_table_and_needs_no_wait(here: Path) -> None:
    feed(here, 2, "5,none.png")
    assert run("ingest", "catalog", "feed.csv", "--image-root", ".", "--report", "report.csv").exit_code == 1
    with (here / "report.csv").open(newline="") as file:
        assert [row["outcome"] for row in csv.DictReader(file)] == ["sent", "sent", "bad"]


def test_when_no_worker_runs_the_command_says_so_and_ends_with_3(here: Path) -> None:
    feed(here, 3)
    began = time.monotonic()
    found = run(
        "ingest", "catalog", "feed.csv", "--image-root", ".", "--wait", "--wait-timeout", "1", "--report", "r.jsonl"
    )
    assert found.exit_code == 3, found.output
    assert time.monotonic() - began < 60
    assert "3 events are without an outcome" in found.stderr
    assert "index worker" in found.stderr
    assert re.search("no outcome yet +3", found.stderr)
    entries = [json.loads(line) for line in (here / "r.jsonl").read_text().splitlines()]
    assert [(entry["item_id"], entry["outcome"]) for entry in entries] == [(str(n), "sent") for n in range(3)]


def test_as_long_as_outcomes_come_the_command_waits(here: Path, kafka: KafkaSettings) -> None:
    def slowly(event_id: str, item: ItemEvent) -> list[ItemOutcome]:
        time.sleep(0.6)
        return default_outcomes(event_id, item)

    feed(here, 5)
    with run_index_worker(kafka, slowly):
        found = run("ingest", "catalog", "feed.csv", "--image-root", ".", "--wait", "--wait-timeout", "3")
    assert found.exit_code == 0, found.output


def test_the_outcomes_of_others_are_not_counted(here: Path, kafka: KafkaSettings) -> None:
    def crowd(event_id: str, item: ItemEvent) -> list[ItemOutcome]:
        others = ("other-0", f"{'0' * 32}-0", item.item_id)
        return [
            *(rejected(other, item, Code.IMAGE_MISSING, "no") for other in others),
            *default_outcomes(event_id, item) * 2,
        ]

    feed(here, 3)
    with run_index_worker(kafka, crowd):
        found = run("ingest", "catalog", "feed.csv", "--image-root", ".", "--wait")
    assert found.exit_code == 0, found.output
    assert "rejected" not in found.stderr


def test_deletions_posts_changes_and_pictures_are_waited_for_too(here: Path, kafka: KafkaSettings) -> None:
    (here / "posts.jsonl").write_text(
        '{"type": "Create", "object": {"type": "Image", "id": "p1", "url": "a.png"}}\n'
    )
    (here / "table.toml").write_text('[columns]\nitem_id = "id"\nimage = "photo"\n')
    (here / "changes.jsonl").write_text(
        '{"op": "c", "source": {"ts_ms": 1769000000000}, "after": {"id": 1, "photo": "https://a.test/1.png"}}\n'
    )
    (here / "pictures").mkdir()
    (here / "pictures" / "a.png").write_bytes((here / "a.png").read_bytes())
    with run_index_worker(kafka):
        for words, part in (
            (("delete", "1", "2"), "removed +2"),
            (("ingest", "social", "posts.jsonl", "--image-root", "."), "indexed, new pictures +1"),
            (("ingest", "debezium", "table.toml", "changes.jsonl"), "indexed, new pictures +1"),
            (("ingest", "pictures", "pictures"), "indexed, new pictures +1"),
        ):
            found = run(*words, "--wait", "--report", "report.jsonl")
            assert found.exit_code == 0, found.output
            assert re.search(part, found.stderr), found.stderr
            assert all(json.loads(line)["item_id"] for line in (here / "report.jsonl").read_text().splitlines())


def test_a_deletion_may_have_a_revision_of_its_own(here: Path, kafka: KafkaSettings) -> None:
    revisions: list[int] = []

    def note(event_id: str, item: ItemEvent) -> list[ItemOutcome]:
        assert isinstance(item, ItemDeleted)
        revisions.append(item.revision)
        return default_outcomes(event_id, item)

    with run_index_worker(kafka, note):
        assert run("delete", "1", "--revision", "2", "--wait").exit_code == 0
    assert revisions == [2]


def test_ctrl_c_ends_the_wait_with_what_is_known(here: Path, kafka: KafkaSettings) -> None:
    def some(event_id: str, item: ItemEvent) -> list[ItemOutcome]:
        return default_outcomes(event_id, item) if item.item_id != "2" else []

    feed(here, 3)
    catalog = TopicReader(kafka, CATALOG_ITEMS)
    words = ["ingest", "catalog", "feed.csv", "--image-root", ".", "--wait", "--report", "report.jsonl"]
    command = [sys.executable, "-c", "from producers.commands import app; app()", *words]
    with (
        run_index_worker(kafka, some),
        subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
        ) as child,
    ):
        assert all(catalog.poll(20) is not None for _ in range(3))
        time.sleep(2)  # the outcomes need some time, and nothing tells that they were counted
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=60)
    catalog.close()
    assert child.returncode == 130, stderr
    assert "stopped by Ctrl-C: sent 3 events" in stderr
    assert re.search("indexed, new pictures +2", stderr), stderr
    assert re.search("no outcome yet +1", stderr), stderr
    outcomes = [json.loads(line)["outcome"] for line in (here / "report.jsonl").read_text().splitlines()]
    assert sorted(outcomes) == ["indexed", "indexed", "sent"]


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_sent(here: Path) -> None:
    feed(here, 1)
    found = run("ingest", "catalog", "feed.csv", "--image-root", ".", "--report", "none/report.jsonl")
    assert (found.exit_code, "--report" in found.stderr) == (2, True), found.output
    assert "sent" not in found.stderr
