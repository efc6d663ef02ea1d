"""A gateway is ready when the services that requests need answer, and alive while its threads run."""

import asyncio
import os
import shutil
import threading
from collections import namedtuple
from pathlib import Path

import httpx
import pytest

from infra.client.topic_listener import TopicListener
from infra.config.gateway import GatewaySettings
from infra.config.kafka import KafkaSettings
from infra.config.settings import Settings
from infra.kafka import Record
from infra.local.ports import LOOPBACK
from infra.local_state import LocalState
from infra.observability.heartbeat import HeartbeatFile
from producers.gateway.app import make_gateway_app
from producers.gateway.clients import ClientAddresses
from producers.gateway.middleware import GuardSettings
from producers.gateway.readiness import Readiness, check_system
from producers.gateway.server import Server, make_server
from schemas.failures import Unavailable
from tests.producers.gateway.conftest import gateway_parts_of, serve_in_thread

Usage = namedtuple("Usage", "total used free")


def why_not(settings: Settings) -> str:
    try:
        check_system(settings)
    except Unavailable as away:
        return str(away)
    return ""


def test_where_up_runs_its_parts_count_too(
    kafka: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data=tmp_path, kafka=kafka)
    assert " worker: " not in why_not(settings)
    LocalState(os.getpid(), kafka.bootstrap, None, ready=True, generations=(1, 2)).write(tmp_path)
    query, index = (HeartbeatFile(tmp_path / "run" / f"{job}.alive") for job in ("query", "index"))
    assert "query worker: has written no heartbeat yet" in why_not(settings)
    assert "index worker: has written no heartbeat yet" in why_not(settings)
    query.beat()
    index.beat()
    assert " worker: " not in why_not(settings), "the worker of the other index is still to come"
    query.beat("holding", "the index is away")
    assert "query worker: is holding" in why_not(settings)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(1 << 40, 1 << 40, 7 << 20))
    assert "disk: 7 MB are free" in why_not(settings)


def test_who_asks_often_has_it_checked_once() -> None:
    checks: list[int] = []

    async def ask() -> list[str]:
        readiness = Readiness(lambda: checks.append(1))
        return list(await asyncio.gather(*(readiness.why_not() for _ in range(50))))

    assert asyncio.run(ask()) == [""] * 50
    assert len(checks) == 1


class FailingReader:
    """A reader whose records end the thread that reads them, once they may."""

    def __init__(self) -> None:
        self.may_fail = threading.Event()

    def poll(self, seconds: float) -> Record | None:
        if self.may_fail.wait(seconds):
            raise RuntimeError("a mistake of ours")
        return None

    def close(self) -> None:
        pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_fails_makes_the_gateway_unwell_and_ends_it_with_its_trace(kafka: KafkaSettings) -> None:
    settings, reader = GatewaySettings(port=0), FailingReader()
    follower = TopicListener(reader, lambda _record: None)
    with gateway_parts_of(kafka, GuardSettings(settings), follower) as parts:
        app = make_gateway_app(GuardSettings(settings), parts, lambda: None)
        server = SlowServer(make_server(app, settings, ClientAddresses(settings), [follower]).config, [follower])
        with serve_in_thread(server) as address, httpx.Client(base_url=address, trust_env=False) as client:
            assert client.get("/healthz").status_code == 200
            reader.may_fail.set()
            while follower.failure is None:
                pass
            assert client.get("/healthz").status_code == client.get("/readyz").status_code == 503
            server.may_end.set()
        with pytest.raises(RuntimeError, match="a mistake of ours"):
            server.raise_failure()
    assert LOOPBACK in address


class SlowServer(Server):
    """Ends a moment later, so that the test can look at it."""

    may_end = threading.Event()

    async def on_tick(self, counter: int) -> bool:
        ends = await super().on_tick(counter)
        return ends and self.may_end.is_set()
