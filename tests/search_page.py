"""docs/search.md: `python -m tests.search_page` runs its commands on the demo, and rewrites the answers."""

import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.local_state import read_local_state
from tests.end_to_end import forked_cli
from tests.end_to_end.system import make_environment

PAGE = Path(__file__).parents[1] / "docs" / "search.md"
DEMO = "lookstream demo --keep-up"
ANSWERED = re.compile(r"```sh\n(?P<command>.*)\n```\n\n```text\n(?P<answer>(.*\n)*?)```")
MOST_LINES = 14


def commands() -> Sequence[str]:
    """The commands of the page that have an answer there."""
    return [found["command"] for found in ANSWERED.finditer(PAGE.read_text())]


def code() -> str:
    """The Python of the page."""
    return "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))


@contextmanager
def demo_shop(folder: Path, demo: str = DEMO, **settings: str) -> Iterator[Callable[[str], str]]:
    """Run the demo's shop in a folder; yields a function that runs a command there and returns its output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = make_environment(folder / ".lookstream", {"PATH": path, "COLUMNS": "120", **settings})

    def run(line: str) -> str:
        done = forked_cli.run_line(line, environment, folder, 300)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    try:
        run(demo)
        yield run
    finally:
        if (running := read_local_state(folder / ".lookstream")) is not None:
            os.kill(running.pid, signal.SIGTERM)


def main() -> None:
    """Rewrite the answers."""

    def answered(found: "re.Match[str]") -> str:
        lines = run(found["command"]).splitlines()[:MOST_LINES]
        answer = "".join(f"{line.rstrip()}\n" for line in lines)
        return f"```sh\n{found['command']}\n```\n\n```text\n{answer}```"

    with tempfile.TemporaryDirectory() as folder, demo_shop(Path(folder), LOOKSTREAM_ENCODER="best") as run:
        PAGE.write_text(ANSWERED.sub(answered, PAGE.read_text()))


if __name__ == "__main__":
    main()
