"""Commands of lookstream, each in a process of its own that is forked from one which has imported them.

A command by itself spends most of a second of a core on imports.
"""

import multiprocessing
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
IMPORTED = (
    "lookstream.cli", "infra.local_state", "infra.kafka", "producers.search_output", "producers.catalog",
    "producers.ingest.session", "infra.client.search_client", "rich.table",
)  # fmt: skip
"""The modules that most commands import when they run."""
SHELL = "<>|&;$*`"
"""Characters that only a shell interprets."""


def run(
    words: Sequence[str], environment: Mapping[str, str], folder: Path, seconds: float
) -> "subprocess.CompletedProcess[str]":
    """Run `lookstream` with these arguments in a folder; raises TimeoutExpired."""
    FORKS.set_forkserver_preload(list(IMPORTED))
    with tempfile.TemporaryDirectory() as outputs:
        out, err = Path(outputs, "out"), Path(outputs, "err")
        process = FORKS.Process(target=_command, args=(list(words), dict(environment), folder, (out, err)))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(words), seconds)
        return subprocess.CompletedProcess(list(words), process.exitcode, out.read_text(), err.read_text())


def run_line(
    line: str, environment: Mapping[str, str], folder: Path, seconds: float
) -> "subprocess.CompletedProcess[str]":
    """Run a line of a page in a folder; by a shell unless it is a plain `lookstream` command."""
    words = shlex.split(line)
    if words[0] == "lookstream" and not set(line) & set(SHELL):
        return run(words[1:], environment, folder, seconds)
    return subprocess.run(
        ["sh", "-c", line],
        env=dict(environment),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def _command(words: list[str], environment: dict[str, str], folder: Path, outputs: tuple[Path, Path]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(outputs, 1):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY), number)
    sys.argv = ["lookstream", *words]
    from lookstream.__main__ import main

    main()
