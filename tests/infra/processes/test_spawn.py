"""Child processes: they end with their parent, and no handler of a library runs between fork and exec."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.local_state import is_process_running
from infra.processes.spawn import spawn, terminate

ROOT = Path(__file__).parents[3]
linux_alone = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a child that its parent has died"
)


def test_a_child_has_its_words_and_its_exit_code() -> None:
    child = spawn([sys.executable, "-c", "import sys; sys.exit(int(sys.argv[1]))", "7"], signal.SIGTERM)
    assert child.wait(60) == 7


def test_a_program_that_is_not_there_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    if sys.platform != "linux":
        pytest.skip("elsewhere there is no launcher, and Popen raises")
    assert spawn(["/no/such/program"], signal.SIGTERM).wait(60) == 127
    assert "error: /no/such/program does not start (No such file or directory)" in capfd.readouterr().err


def test_a_frozen_child_is_ended_too() -> None:
    child = spawn([sys.executable, "-c", "import time; time.sleep(600)"], signal.SIGTERM)
    child.send_signal(signal.SIGSTOP)
    assert terminate(child, signal.SIGTERM, 60) == -signal.SIGTERM


@linux_alone
def test_a_child_is_gone_when_its_parent_was_killed() -> None:
    work = "import time; print(1, flush=True); time.sleep(600)"
    program = (
        "import os, signal, sys\nfrom infra.processes.spawn import spawn\n"
        f"child = spawn([sys.executable, '-c', {work!r}], signal.SIGTERM)\n"
        "print(child.pid, flush=True)\nsignal.pause()"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    lines = {parent.stdout.readline().strip(), parent.stdout.readline().strip()}
    [child] = lines - {"1"}  # the other line: it runs, so it has been tied to its parent
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 60
    while is_process_running(int(child)):
        assert time.monotonic() < until
        time.sleep(0.02)


@linux_alone
def test_a_child_whose_parent_is_another_process_never_starts() -> None:
    launcher = [sys.executable, "-I", "-S", str(ROOT / "infra" / "processes" / "launch.py")]
    done = subprocess.run([*launcher, "1", "15", "echo", "it runs"], capture_output=True, text=True, timeout=60)
    assert os.getpid() != 1
    assert (done.returncode, done.stdout) == (1, "")


@linux_alone
def test_no_fork_handler_of_a_library_runs_for_a_child() -> None:
    """gRPC registers such handlers: they start threads in the child, which dies of descriptors that are closed."""
    called: list[str] = []
    handler = ctypes.CFUNCTYPE(None)(lambda: called.append("before a fork"))
    library = ctypes.CDLL(None)
    library.__register_atfork(handler, None, None, None)
    HANDLERS.append(handler)  # it cannot be taken back
    before = len(called)
    assert spawn([sys.executable, "-c", ""], signal.SIGTERM).wait(60) == 0
    assert len(called) == before
    subprocess.run([sys.executable, "-c", ""], preexec_fn=os.getpid, check=True)  # the control: it forks
    assert len(called) == before + 1


HANDLERS: list[object] = []
