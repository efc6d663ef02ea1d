"""Logs in every format, without secrets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SETUP = """
import logging
import structlog
from infra.observability.logging import configure_logs
from infra.observability.redaction import redaction
from infra.config.settings import read_settings
settings = read_settings()
configure_logs(settings.logs, "index", redaction(settings))
log = structlog.get_logger()
"""
USUAL = """
log.debug("quiet")
log.info("indexed", items=3)
"""
THREAD = """
import threading
thread = threading.Thread(target=log.info, args=("there",))
thread.start()
thread.join()
"""
FULL_DISK = """
import sys
usual, sys.stderr = sys.stderr, open("/dev/full", "w")
configure_logs(settings.logs, "index", redaction(settings))
log.error("x" * 100_000)
sys.stderr = usual
configure_logs(settings.logs, "index", redaction(settings))
log.error("on")
"""


def logged(code: str, **settings: str) -> str:
    environment = {**os.environ, **{f"LOOKSTREAM_{name.upper()}": value for name, value in settings.items()}}
    done = subprocess.run(
        [sys.executable, "-c", SETUP + code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr


def test_machines_get_one_json_object_a_line() -> None:
    [line] = logged(USUAL, logs_format="json").splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["items"], entry["part"], entry["level"]) == ("indexed", 3, "index", "info")
    assert entry["timestamp"].endswith("Z")


def test_lines_of_other_threads_name_the_part_too() -> None:
    [line] = logged(THREAD, logs_format="json").splitlines()
    assert json.loads(line)["part"] == "index"


def test_a_line_that_cannot_be_written_is_lost_and_the_work_continues() -> None:
    assert " on " in logged(FULL_DISK)


def test_people_get_a_line_to_read_and_choose_how_much() -> None:
    assert "items=3" in logged(USUAL, logs_format="console")
    assert "quiet" in logged(USUAL, logs_level="debug")
    assert logged(USUAL, logs_level="warning") == ""


LIBRARY = """
library = logging.getLogger("library")
library.warning("try again")
library.error("%s broke at %d", "it", 7)
library.error("%d", "no number")
logging.getLogger("librdkafka").error("connect failed")
try:
    raise RuntimeError("inside")
except RuntimeError:
    library.error("with its trace", exc_info=True)
"""


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_the_errors_of_libraries_are_shown_at_every_level_and_their_warnings_are_not(level: str) -> None:
    lines = [json.loads(line) for line in logged(LIBRARY, logs_format="json", logs_level=level).splitlines()]
    assert [line["event"] for line in lines] == ["it broke at 7", "%d", "with its trace"]
    assert {(line["logger"], line["level"], line["part"]) for line in lines} == {("library", "error", "index")}
    assert "RuntimeError: inside" in lines[-1]["exception"]


def test_all_of_a_librarys_records_are_shown_at_the_level_debug() -> None:
    events = [
        json.loads(line)["event"] for line in logged(LIBRARY, logs_format="json", logs_level="debug").splitlines()
    ]
    assert events == ["try again", "it broke at 7", "%d", "connect failed", "with its trace"]


LEAKS = """
url = "https://ana:canary-1@cdn.example/a.png?sig=canary-2"
log.warning("no " + url, why=url, also={"in": [url, "canary-secret"]}, odd=KeyError("canary-secret"))
try:
    raise RuntimeError("canary-secret at " + url)
except RuntimeError:
    log.exception("it broke")
    logging.getLogger("library").critical("says %s", url, exc_info=True)
"""


@pytest.mark.parametrize("format", ["json", "console"])
def test_secrets_are_masked_in_every_value_trace_and_library(format: str) -> None:
    output = logged(LEAKS, logs_format=format, logs_level="debug", qdrant_api_key="canary-secret")
    assert "canary" not in output
    assert output.count("Traceback") == 2
    assert output.count("https://***@cdn.example/a.png?***") >= 6
    if format == "json":
        lines = [line for line in output.splitlines() if line.startswith("{")]
        assert [json.loads(line)["event"] for line in lines][1] == "it broke"
