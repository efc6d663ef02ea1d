"""The server of the embedded index: invalid requests, failing requests, and requests of other users."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.qdrant.contract import EngineError, SearchPlan
from infra.qdrant.embedded.channel import HEADER, MAGIC, Address, Channel, address_of, bind, connect, is_listening
from infra.qdrant.embedded.children import MODULE
from infra.qdrant.embedded.client import ERRORS, MAX_ENGINE_DEATHS, EmbeddedIndex, send_request
from infra.qdrant.embedded.client import METHODS as known
from infra.qdrant.embedded.owner_process import serve
from infra.qdrant.embedded.wire import encode
from schemas.failures import Unavailable
from tests.infra.qdrant.embedded.broken_engine import PANIC, THREAD

ROOT = Path(__file__).parents[4]
SIZE, PATIENCE = 8, 60.0


def started(folder: Path, program: str = MODULE) -> SpawnProcess:
    """The process that owns an index, once it answers."""
    process = get_context("spawn").Process(target=serve, args=(folder, address_of(folder), 0, program), daemon=True)
    process.start()
    until = time.monotonic() + PATIENCE
    while not is_listening(address_of(folder)):
        assert time.monotonic() < until
        time.sleep(0.05)
    return process


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    """Where an engine answers, in a folder that every user may enter."""
    base = Path(tempfile.mkdtemp(prefix="ls-"))
    base.chmod(0o755)
    process = started(base / "index")
    with closing(EmbeddedIndex(address_of(base / "index"))) as index:
        index.open("encoder", SIZE)
    yield address_of(base / "index")
    process.terminate()
    process.join()
    shutil.rmtree(base)


@pytest.fixture
def index(address: Address) -> Iterator[EmbeddedIndex]:
    """A client of it."""
    with closing(EmbeddedIndex(address, PATIENCE)) as client:
        yield client


def say(address: Address, data: bytes) -> bytes:
    """Send bytes to the engine and close the connection; its answer."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(PATIENCE)
        stream.connect(str(address))
        with suppress(BrokenPipeError, ConnectionResetError):
            stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: stream.recv(4_096), b""))
    return b""


def framed(data: bytes) -> bytes:
    return HEADER.pack(MAGIC, len(data)) + data


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(data=st.binary(max_size=60) | st.binary(max_size=60).map(framed))
def test_random_bytes_end_their_connection_and_nothing_else(
    address: Address, index: EmbeddedIndex, data: bytes
) -> None:
    before = index.count()
    say(address, data)
    assert index.count() == before


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
METHODS = st.sampled_from((*sorted(known), "take_over", "_made", "close", ""))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(method=METHODS, arguments=st.lists(VALUES, max_size=3))
def test_a_request_with_senseless_arguments_is_answered(
    address: Address, index: EmbeddedIndex, method: str, arguments: list[object]
) -> None:
    with connect(address, PATIENCE) as channel, suppress(*ERRORS.values()):
        send_request(channel, method, *arguments)
    assert index.count() == 0


def test_what_is_no_request_is_told_to_who_sent_it(address: Address) -> None:
    with connect(address, PATIENCE) as channel:
        channel.send({"method": "count"})
        assert "a request is a method and its arguments" in channel.receive().message
        with pytest.raises(EOFError):
            channel.receive()


def test_whatever_the_engine_raises_is_an_engine_error_with_its_name_and_message(index: EmbeddedIndex) -> None:
    with pytest.raises(EngineError, match=r"failed: Exception: .*[Vv]ector dimension"):
        index.search([SearchPlan(np.ones(SIZE + 1, np.float32), "t")])
    assert index.count() == 0


def test_a_request_that_is_too_long_is_the_callers_fault(
    index: EmbeddedIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.qdrant.embedded.channel.MAX_MESSAGE_BYTES", 100)
    with pytest.raises(ValueError, match="ask for fewer at a time"):
        index.payloads(["x" * 200], [])
    assert index.count() == 0


def test_another_user_of_the_machine_is_refused(address: Address) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may become another user")
    request = framed(encode(["count", [None]]))
    program = (
        "import os, socket, sys\nline = socket.socket(socket.AF_UNIX)\n"
        "os.setuid(65534)\nline.connect(sys.argv[1])\n"
        f"line.sendall({request!r}); print(line.recv(100))"
    )
    command = [sys.executable, "-I", "-S", "-c", program, str(address)]

    def as_nobody() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)

    assert "PermissionError" in as_nobody().stderr
    address.parent.chmod(0o755)
    address.chmod(0o666)
    done = as_nobody()
    address.parent.chmod(0o700)
    address.chmod(0o600)
    assert done.stdout in ("b''\n", "")
    assert "PermissionError" not in done.stderr


def test_a_panic_is_told_and_ends_the_process(tmp_path: Path) -> None:
    process = started(tmp_path / "index", "tests.infra.qdrant.embedded.broken_engine")
    with closing(EmbeddedIndex(address_of(tmp_path / "index"), PATIENCE)) as index:
        with pytest.raises(EngineError, match=r"damaged .*Panic: index out of bounds"):
            index.sample(PANIC, 1)
        process.join(PATIENCE)
        assert process.exitcode == 1


def test_a_background_thread_that_dies_ends_its_process_with_its_trace(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    process = started(tmp_path / "index", "tests.infra.qdrant.embedded.broken_engine")
    with closing(EmbeddedIndex(address_of(tmp_path / "index"), PATIENCE)) as index, suppress(Unavailable):
        index.sample(THREAD, 1)
    process.join(PATIENCE)
    assert process.exitcode == 1
    assert "IndexError: list index out of range" in capfd.readouterr().err


def test_a_request_that_always_ends_the_engine_is_an_engine_error(tmp_path: Path) -> None:
    """A socket that closes at a request: a client sees the same when the engine dies of the request."""
    with bind(address_of(tmp_path)) as listener:
        listener.listen()

        def hang_up() -> None:
            deaths = 0
            while deaths < MAX_ENGINE_DEATHS:
                stream, _peer = listener.accept()
                with Channel(stream) as channel:
                    while channel.receive() != ["count", [None]]:
                        channel.send({})
                deaths += 1

        server = threading.Thread(target=hang_up)
        server.start()
        with closing(EmbeddedIndex(address_of(tmp_path), PATIENCE)) as index:
            with pytest.raises(Unavailable, match="it closed the connection"):
                index.count()
            assert index.notes(["between"]) == {}
            with pytest.raises(EngineError, match="ends at each `count` of this request"):
                index.count()
        server.join()
