"""The launcher of Apache Kafka: a node ends with the process that started it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.ports import is_listening
from tests.end_to_end.system import ROOT
from tests.kafka import jars
from tests.kafka.apache import wait_for
from tests.kafka.jars import KafkaMissing, java, make_once


@pytest.fixture
def launcher(kafka_server: str | None) -> Iterator["subprocess.Popen[str]"]:
    """The launcher in a process of its own."""
    if kafka_server is None:
        pytest.skip("starts Apache Kafka: `make conformance`")
    command = [sys.executable, "-m", "tests.kafka.apache"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_a_node_ends_when_the_process_that_started_it_is_killed(launcher: "subprocess.Popen[str]") -> None:
    assert launcher.stdout is not None
    host, port = launcher.stdout.readline().strip().removeprefix("LOOKSTREAM_KAFKA_BOOTSTRAP=").split(":")
    assert is_listening((host, int(port)))
    os.kill(launcher.pid, signal.SIGKILL)
    wait_for(lambda: not is_listening((host, int(port))), "the node to end")


def test_without_java_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(KafkaMissing, match="needs Java 17 or newer, and there is none: on Debian: apt-get install"):
        java()


def test_an_older_java_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KafkaMissing, match="17 or newer"):
        java()


def test_without_maven_it_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(KafkaMissing, match="by Maven, and there is none"):
        jars.jar_folder("4.4.0")
    assert not any(path.is_dir() for path in (tmp_path / "lookstream").iterdir())


def test_what_a_cache_holds_is_made_once_and_never_half(tmp_path: Path) -> None:
    made = list[Path]()

    def fail(path: Path) -> None:
        path.write_text("half")
        raise KafkaMissing("the network is away")

    def make(path: Path) -> None:
        assert not path.exists()
        path.write_text("whole")
        made.append(path)

    thing = tmp_path / "thing"
    with pytest.raises(KafkaMissing):
        make_once(thing, fail)
    assert not thing.exists()
    make_once(thing, make)
    make_once(thing, make)
    assert (thing.read_text(), len(made)) == ("whole", 1)
