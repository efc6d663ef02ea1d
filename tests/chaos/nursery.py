"""The nursery: forks programs of ours from a process that has imported them, which takes two seconds of a core.

A child does what `python -m program words` does, in an environment of its own, and dies with the nursery, which
dies with the process that uses it.
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
"""What the programs need, so that a child finds it imported."""


@cache
def colours() -> ColourExtractor:
    """The table of colours, made once: it is the same for all and takes half a second of a core."""
    return make_colour_extractor()


def spawn(program: str, words: Sequence[str], environment: Mapping[str, str], log: Path) -> BaseProcess:
    """Run a module of ours as a program, with its output in `log`."""
    nursery = multiprocessing.get_context("forkserver")
    nursery.set_forkserver_preload(["tests.chaos.warm"])
    child = nursery.Process(target=_live, args=(program, list(words), dict(environment), log))
    child.start()
    return child


def _live(program: str, words: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    die_with_parent()
    # Each child is given the pipe by whose end the nursery learns that its user has died: held, it never ends.
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
    """Linux kills a child whose parent has died; even one that is frozen."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
