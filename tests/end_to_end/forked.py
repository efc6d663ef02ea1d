"""Commands of lookstream, each in a process of its own that is forked from one which has imported them.

A command as people run it spends most of a second of a core on imports; README's and docs/search.md's are run so.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
IMPORTED = (
    "lookstream", "infra.running", "infra.kafka", "producers.answer", "producers.catalog", "producers.ingest",
    "producers.search", "rich.table",
)  # fmt: skip
"""What most commands import once they run."""


def run(
    words: Sequence[str], environment: Mapping[str, str], folder: Path, seconds: float
) -> "subprocess.CompletedProcess[str]":
    """What `lookstream` with these words comes to, run in a folder; raises TimeoutExpired."""
    FORKS.set_forkserver_preload(list(IMPORTED))
    with tempfile.TemporaryDirectory() as said:
        out, err = Path(said, "out"), Path(said, "err")
        process = FORKS.Process(target=_command, args=(list(words), dict(environment), folder, (out, err)))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(words), seconds)
        return subprocess.CompletedProcess(list(words), process.exitcode, out.read_text(), err.read_text())


def _command(words: list[str], environment: dict[str, str], folder: Path, said: tuple[Path, Path]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(said, 1):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY), number)
    sys.argv = ["lookstream", *words]
    import lookstream

    lookstream.main()
