"""The report file with the result of each row."""

import csv
import json
import threading
from pathlib import Path

import pytest

from infra.config.errors import BadInput
from producers.ingest.report import IngestReport, ReportLine

LINES = (
    ReportLine(2, "a", "indexed"),
    ReportLine(3, "b", "rejected", "image_missing", "there is no picture file `b.png`"),
    ReportLine(4, "", "bad", "", 'a "quoted" cell,\nwith a line end'),
    ReportLine(0, "é\u2028", "sent"),
)


def written(path: Path, *lines: ReportLine) -> str:
    report = IngestReport(path)
    for line in lines:
        report.write(line)
    report.close()
    assert report.error == ""
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["report.jsonl", "report.json", "report"])
def test_a_report_is_json_one_object_a_line(tmp_path: Path, name: str) -> None:
    found = [json.loads(line) for line in written(tmp_path / name, *LINES).split("\n")[:-1]]
    assert found == [
        {"line": 2, "item_id": "a", "outcome": "indexed"},
        {"line": 3, "item_id": "b", "outcome": "rejected", "code": "image_missing", "message": LINES[1].message},
        {"line": 4, "outcome": "bad", "message": LINES[2].message},
        {"item_id": "é\u2028", "outcome": "sent"},
    ]


@pytest.mark.parametrize("name", ["report.csv", "REPORT.CSV"])
def test_a_report_is_a_table_if_it_is_called_so(tmp_path: Path, name: str) -> None:
    written(tmp_path / name, *LINES)
    with (tmp_path / name).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["line", "item_id", "outcome", "code", "message"]
    assert [row["line"] for row in rows] == ["2", "3", "4", ""]
    assert rows[2]["message"] == LINES[2].message
    assert rows[1]["code"] == "image_missing"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_a_spreadsheet_takes_no_cell_for_a_formula(tmp_path: Path, text: str) -> None:
    written(tmp_path / "a.csv", ReportLine(1, text, "sent"))
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        [row] = csv.DictReader(file)
    assert row["item_id"] == f"'{text}"


def test_a_report_replaces_the_last_one(tmp_path: Path) -> None:
    written(tmp_path / "a.jsonl", *LINES)
    assert written(tmp_path / "a.jsonl", LINES[0]).count("\n") == 1


def test_texts_that_are_no_unicode_are_written_all_the_same(tmp_path: Path) -> None:
    assert "\\udce9" in written(tmp_path / "a.csv", ReportLine(0, "", "bad", "", "caf\udce9.jpg: no name"))


@pytest.mark.parametrize("path", ["none/report.jsonl", "."])
def test_a_report_that_cannot_be_written_is_refused_at_once(tmp_path: Path, path: str) -> None:
    with pytest.raises(BadInput, match=r"--report .* cannot be written"):
        IngestReport(tmp_path / path)


def test_a_full_disk_ends_no_run_and_is_reported() -> None:
    report = IngestReport(Path("/dev/full"))
    for _ in range(2_000):
        report.write(LINES[1])
    report.close()
    assert report.error == "no space left on device"


def write_lines(report: IngestReport, count: int) -> None:
    for _ in range(count):
        report.write(LINES[1])


def test_two_threads_write_whole_lines(tmp_path: Path) -> None:
    report = IngestReport(tmp_path / "a.jsonl")
    threads = [threading.Thread(target=write_lines, args=(report, 500)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report.close()
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert len(lines) == 1_000
    assert all(json.loads(line)["line"] == 3 for line in lines)
