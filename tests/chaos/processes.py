"""Child processes of chaos tests, which can be frozen, resumed, killed and ended; their memory can be read."""

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from infra.qdrant.embedded.channel import Address, is_listening
from tests.chaos.fork_server import spawn

READY_SECONDS = 60.0


class Process:
    """A child process with a log. It dies with this one, however that ends."""

    def __init__(self, program: str, words: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._child = spawn(program, words, environment, log)
        self.log = log

    @property
    def code(self) -> int | None:
        """Its exit code, or minus the signal that killed it; none while it runs."""
        return self._child.exitcode

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._child.pid is not None
        return self._child.pid

    def resident_mb(self) -> float:
        """Resident memory, in MB, of the largest among it and its children."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in family(self.pid)]
        return max(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def open_files(self) -> int:
        """The number of file descriptors of the process that has most, among it and its children."""
        return max(len(os.listdir(f"/proc/{pid}/fd")) for pid in family(self.pid))

    def signal(self, what: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        if self.code is None:
            os.kill(self.pid, what)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self._child.kill()
        self._child.join()

    def freeze(self) -> None:
        """Freeze it and its children by SIGSTOP."""
        for pid in family(self.pid):
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume it and its children by SIGCONT."""
        for pid in family(self.pid):
            os.kill(pid, signal.SIGCONT)

    def end(self, seconds: float = 30) -> int:
        """Ask it to stop; its exit code. Raises TimeoutError when it takes longer than `seconds`."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def drain(self, seconds: float = 120) -> int:
        """Have a worker process its queue and end; its exit code."""
        self.signal(signal.SIGUSR1)
        return self.wait(seconds)

    def wait(self, seconds: float) -> int:
        """Wait until it ends; its exit code."""
        self._child.join(seconds)
        if self.code is None:
            raise TimeoutError(f"process {self._child.pid} ran on after {seconds} s\n{self.log_tail()}")
        return self.code

    def log_tail(self, length: int = 2_000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-length:] if self.log.exists() else "(no log)"


def family(pid: int) -> list[int]:
    """A process and all its descendants, the eldest first."""
    found = [pid]
    for one in found:
        with suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
    return found


def wait_for(
    condition: Callable[[], bool], what: str, child: Process | None = None, seconds: float = READY_SECONDS
) -> None:
    """Wait until something holds. Raises TimeoutError when it takes too long, or when `child` ends first."""
    until = time.monotonic() + seconds
    while not condition():
        ended = child is not None and child.code is not None
        if ended or time.monotonic() > until:
            words = child.log_tail() if child else ""
            how = f"it ended with exit code {child.code}" if child and ended else f"not in {seconds:.0f} s"
            raise TimeoutError(f"waited for {what}: {how}\n{words}")
        time.sleep(0.02)


def wait_until_free(address: Address) -> None:
    """Wait until there is no listener: the children of a killed process outlive it for a moment."""
    wait_for(lambda: not is_listening(address), f"{address} to be free")
