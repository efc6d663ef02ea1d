"""docs/search.md is right: its commands run on the demo's shop as written, and its Python too."""

import json
import shlex
import sys
from pathlib import Path

import pytest

from tests.search_page import DEMO, PAGE, code, commands, demo_shop

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
SMALL = "--products 48 --queries 4"
"""The shop of the page has 288: these have the ids that its commands name."""


def make_demo(words: str) -> str:
    """`make demo` with these words, as the Makefile has it, on the environment that runs this test."""
    return f"make --file {ROOT / 'Makefile'} RUNNABLE= BIN={BIN} demo DEMO={shlex.quote(words)}"


@pytest.mark.long
def test_every_command_and_the_python_of_the_page_run_on_the_demo_as_written(tmp_path: Path) -> None:
    assert len(commands()) == PAGE.read_text().count("```sh\n") - 1, "each command but the demo's has its answer"
    assert DEMO == "lookstream demo --keep-up"
    assert DEMO in PAGE.read_text()
    with demo_shop(tmp_path, make_demo(f"--keep-up {SMALL}"), LOOKSTREAM_ENCODER="fast") as run:
        assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")
        assert json.loads((tmp_path / "demo.json").read_text())
        for command in commands():
            assert run(command)
        assert "object=" in run(shlex.join([sys.executable, "-c", code()]))
