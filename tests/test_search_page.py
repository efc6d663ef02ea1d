"""docs/search.md tells the truth: its commands run on the demo's shop as written, and its Python too."""

import sys
from pathlib import Path

from tests.search_page import DEMO, PAGE, code, commands, demo_shop

SMALL = "--products 48 --queries 4"
"""The shop of the page has 288: these have the ids that its commands name."""


def test_every_command_and_the_python_of_the_page_run_on_the_demo_as_written(tmp_path: Path) -> None:
    assert len(commands()) == PAGE.read_text().count("```sh\n") - 1, "each command but the demo's has its answer"
    assert DEMO in PAGE.read_text()
    with demo_shop(tmp_path, f"{DEMO} {SMALL}", LOOKSTREAM_ENCODER="fast") as run:
        for command in commands():
            assert run("sh", "-c", command)
        assert "object=" in run(sys.executable, "-c", code())
