"""Engine children: how the owner process starts its child processes, their tasks and exit codes."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from typing import Self

from infra.processes.spawn import ROOT, ChildSetup, spawn
from infra.qdrant.embedded.channel import Channel

MODULE = "infra.qdrant.embedded.engine_process"
"""The module that a child runs."""
ANSWER, OPTIMISE, SUCCEED = "answer", "optimise", "succeed"
"""The tasks of a child."""
NOTHING_TO_DO, HANDED_OVER = 3, 7
"""Exit codes: the optimiser found nothing to do; the engine process has handed over to its successor."""


@dataclass(frozen=True)
class EngineContext:
    """Arguments of a child: the index, the descriptors of inherited sockets, and the copy to work on."""

    folder: str
    listener: int
    """Descriptor of the socket that clients connect to; all processes of one index share it."""
    address: str
    min_free: int
    program: str = MODULE
    line: int = -1
    """Descriptor of the connection to the owner, which breaks when either dies; -1 for a child without one."""
    copy: str = ""
    """Path of the shard copy to work on."""

    def to_json(self) -> str:
        """Encode as a command-line argument."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Decode from a command-line argument."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class EngineChild:
    """A child that has a shard open, and a connection to it that breaks when the child dies.

    A connection through the shared socket would not break: it would wait there until any process accepts it.
    """

    process: "subprocess.Popen[bytes]"
    connection: Channel


def start_engine(task: str, context: EngineContext) -> EngineChild:
    """Start a child that opens a shard and has a connection to this process."""
    parent_end, child_end = socket.socketpair()
    with child_end:
        return EngineChild(start(task, replace(context, line=child_end.fileno())), Channel(parent_end))


def start(task: str, context: EngineContext) -> "subprocess.Popen[bytes]":
    """Start a child that is killed when this process dies."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    sockets = tuple(descriptor for descriptor in (context.listener, context.line) if descriptor >= 0)
    command = [sys.executable, "-m", context.program, task, context.to_json()]
    return spawn(command, signal.SIGKILL, environment, ChildSetup(inherited=sockets, own_session=False))
