"""A fork server: it imports our programs once, which takes two seconds of a core, and forks each child from there.

A child does what `python -m PROGRAM ARGUMENTS` does, in an environment of its own. It dies with the fork server,
and the fork server dies with the process that started it.
"""

import ctypes
import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import patch

import consumers.workers.commands
import consumers.workers.index_worker
import consumers.workers.query_worker
import consumers.workers.resources
import infra.qdrant.commands
import infra.qdrant.embedded.shard
from consumers.vision.colour import ColourExtractor, make_colour_extractor

ROOT = Path(__file__).parents[2]
IMPORTED = (
    consumers.workers.commands,
    consumers.workers.index_worker,
    consumers.workers.query_worker,
    infra.qdrant.commands,
    infra.qdrant.embedded.shard,
)
"""The modules that the programs need, so that a child finds them imported."""


@cache
def colours() -> ColourExtractor:
    """The colour table, made once for all children: it takes half a second of a core."""
    return make_colour_extractor()


def spawn(program: str, words: Sequence[str], environment: Mapping[str, str], log: Path) -> BaseProcess:
    """Run a module as a program; its output goes to `log`."""
    fork_server = multiprocessing.get_context("forkserver")
    fork_server.set_forkserver_preload(["tests.chaos.fork_server_preload"])
    child = fork_server.Process(target=_run_child, args=(program, list(words), dict(environment), log))
    child.start()
    return child


def _run_child(program: str, words: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    die_with_parent()
    # The fork server learns by the end of this pipe that its starter has died. A child that held it open would
    # prevent that.
    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    with log.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [program, *words]
    with patch.object(consumers.workers.resources, "make_colour_extractor", colours):
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def die_with_parent() -> None:
    """Have Linux kill this process when its parent dies, even while it is frozen."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
