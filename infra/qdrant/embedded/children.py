"""The children of the owner of the embedded index: what they are started for and given, and how they end."""

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
"""What a child runs."""
ANSWER, OPTIMISE, SUCCEED = "answer", "optimise", "succeed"
"""What it may be started for."""
NOTHING_TO_DO, HANDED_OVER = 3, 7
"""Exit codes: an optimiser has found all as it should be; a process has left its place to its successor."""


@dataclass(frozen=True)
class EngineContext:
    """What a child is given: the index, the sockets that it has inherited by their descriptors, and its copy."""

    folder: str
    listener: int
    """The socket to which clients connect; all processes of one index share it."""
    address: str
    min_free: int
    program: str = MODULE
    line: int = -1
    """A connection to the owner, which breaks when either dies; none for those that answer nobody."""
    copy: str = ""
    """The copy of the shard to work on."""

    def words(self) -> str:
        """As a word of a command."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, words: str) -> Self:
        """From the word of a command."""
        return cls(**json.loads(words))


@dataclass(frozen=True)
class EngineChild:
    """A child that has a shard open, with a line to it that breaks when the child dies.

    A connection to the socket would not: it waits there for whoever accepts it.
    """

    process: "subprocess.Popen[bytes]"
    line: Channel


def start_engine(work: str, seat: EngineContext) -> EngineChild:
    """Start a child that has a shard open, or soon has."""
    ours, theirs = socket.socketpair()
    with theirs:
        return EngineChild(start(work, replace(seat, line=theirs.fileno())), Channel(ours))


def start(work: str, seat: EngineContext) -> "subprocess.Popen[bytes]":
    """Start a child, which is killed when this process dies."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    sockets = tuple(number for number in (seat.listener, seat.line) if number >= 0)
    command = [sys.executable, "-m", seat.program, work, seat.words()]
    return spawn(command, signal.SIGKILL, environment, ChildSetup(inherited=sockets, own_session=False))
