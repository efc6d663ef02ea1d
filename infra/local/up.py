"""Local system: `lookstream up` runs all parts on one machine, from a local broker to the query worker."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from infra.config.kafka import KafkaSettings
from infra.config.settings import Settings
from infra.kafka import check_broker, create_topics
from infra.local import services
from infra.local.ports import LOOPBACK, claim_port, is_listening, port_of
from infra.local.supervisor import Service, ServiceFailed, Supervisor
from infra.local_state import LocalState, local_kafka, lock_data_folder, restrict_permissions
from infra.qdrant.connect import check_server, connect_register
from infra.qdrant.embedded.channel import address_of
from infra.qdrant.generations import FIRST, Generations, component_name, index_folder
from infra.retry import Retry
from schemas.failures import Unavailable
from schemas.topics import all_topics

BROKER_PORT = 9092
"""Preferred port of the local broker; if it is in use, any free port is used."""
BROKER_SECONDS, READY_SECONDS = 10.0, 120.0
"""Timeouts in seconds of a restarted broker, and of parts that start. The latter is long, since the first start on
a cold disk imports torch and loads the weights twice."""
Print = Callable[[str], None]


@dataclass(frozen=True)
class OptionalServices:
    """Which optional parts run."""

    gateway: bool = True
    canary: bool = False


@dataclass
class StopRequests:
    """Counts the user's stop requests: the first means drain and stop, the second means stop now."""

    count: int = 0

    def listen(self) -> None:
        """Handle Ctrl-C and SIGTERM from now on."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._increment)

    def _increment(self, _number: int, _frame: object) -> None:
        self.count += 1


class Up:
    """Runs the system on one data folder until the user stops it."""

    def __init__(
        self, settings: Settings, environment: Mapping[str, str], say: Print, optional: OptionalServices
    ) -> None:
        self._settings = settings
        self._optional = optional
        self._folder = settings.data
        self._supervisor = Supervisor({**services.ALLOCATOR, **environment})
        self._say = say
        self._stop_requests = StopRequests()
        self._kafka = settings.kafka
        self._register = connect_register(settings)
        self._serving = FIRST
        self._generations: set[int] = set()
        self._indexes: dict[int, Path] = {}
        self._page: str | None = None
        self._metrics: dict[str, int] = {}
        self._claims: list[socket.socket] = []

    def run(self) -> None:
        """Run until stopped; raises AlreadyRunning, ServiceFailed, Unavailable or LocalExtraMissing."""
        with lock_data_folder(self._folder):
            restrict_permissions(self._folder)
            services.clear_heartbeats(self._folder)
            self._stop_requests.listen()
            try:
                self._start()
                while not self._stop_requests.count:
                    self._watch()
                    time.sleep(0.1)
                self._shut_down()
            finally:
                self._supervisor.stop()
                for claim in self._claims:
                    claim.close()
        self._say("stopped")

    @property
    def _local_broker(self) -> bool:
        return not self._settings.kafka.bootstrap

    def _start(self) -> None:
        if self._local_broker:
            port = self._claim_port(BROKER_PORT)
            self._kafka = local_kafka(self._settings.kafka, f"{LOOPBACK}:{port}")
            self._start_services(services.broker_service(port))
        create_topics(self._kafka, all_topics())
        if self._settings.qdrant.url:
            check_server(self._settings)
        self._serving = self._register.read().serving.number
        self._generations = {self._serving}
        self._start_services(*self._index(self._serving))
        self._write_state(ready=False)
        self._start_services(*self._workers(), *self._gateway())
        self._start_services(*self._canary())
        if not self._stop_requests.count:
            self._write_state(ready=True)
            self._announce()

    def _workers(self) -> list[Service]:
        index = services.index_worker_service(self._placement("index"), self._serving)
        return [index, services.query_worker_service(self._placement("query"))]

    def _placement(self, job: str) -> services.WorkerPlacement:
        return services.WorkerPlacement(self._folder, self._metrics_port(job), self._local_broker)

    def _metrics_port(self, job: str) -> int:
        if first := self._settings.metrics.port:
            self._metrics[job] = self._claim_port(first + len(self._metrics))
        return self._metrics.get(job, 0)

    def _index(self, generation: int) -> list[Service]:
        if self._settings.qdrant.url:
            return []
        self._indexes[generation] = address_of(index_folder(self._folder, generation))
        return [services.index_service(self._indexes[generation], generation)]

    def _gateway(self) -> list[Service]:
        if not self._optional.gateway:
            return []
        address = (
            services.reachable_host(self._settings.gateway.host),
            self._claim_port(self._settings.gateway.port),
        )
        self._page = services.page_url(address)
        return [services.gateway_service(address)]

    def _canary(self) -> list[Service]:
        if not self._optional.canary:
            return []
        return [services.canary_service(self._metrics_port(services.CANARY))]

    def _claim_port(self, preferred: int) -> int:
        """Claim a port for a child process until `run` ends."""
        self._claims.append(claim_port(preferred))
        return port_of(self._claims[-1])

    def _start_services(self, *parts: Service) -> None:
        if parts and not self._stop_requests.count:
            self._say(f"starting the {' and the '.join(part.name for part in parts)}")
            self._supervisor.start(parts, READY_SECONDS, lambda: self._stop_requests.count > 0)

    def _watch(self) -> None:
        with suppress(Unavailable):  # an unavailable server reports no new generations
            self._apply_generations(self._register.read())
        if services.BROKER not in self._supervisor.watch():
            return
        self._say("the local broker died and lost its topics: send the events without an outcome again")
        _wait_for_broker(self._kafka)
        create_topics(self._kafka, all_topics())
        for name in (*self._supervisor.dependents(services.BROKER), *self._optional_names()):
            self._supervisor.restart(name)

    def _apply_generations(self, generations: Generations) -> None:
        """Start and stop services so that exactly the known generations run."""
        known = {one.number for one in generations.known}
        if known == self._generations and generations.serving.number == self._serving:
            return
        for number in known - self._generations:
            self._say(f"starting index {number}, for encoder {generations.of(number).encoder}")
            parts = [
                *self._index(number),
                services.index_worker_service(self._placement(component_name("index", number)), number),
            ]
            self._generations.add(number)
            self._write_state(ready=True)
            self._supervisor.add(parts)
        for number in self._generations - known:
            self._say(f"index {number} is removed")
            self._supervisor.stop(
                [component_name(services.INDEX_WORKER, number), component_name(services.INDEX, number)]
            )
            self._generations.discard(number)
            self._indexes.pop(number, None)
            self._metrics.pop(component_name("index", number), None)
            shutil.rmtree(index_folder(self._folder, number), ignore_errors=True)
            services.heartbeat_file(self._folder, component_name("index", number)).unlink(missing_ok=True)
        if generations.serving.number != self._serving:
            self._serving = generations.serving.number
            self._say(f"index {self._serving} serves, with encoder {generations.serving.encoder}")
            if self._optional.canary:
                self._supervisor.restart(services.CANARY)
        self._write_state(ready=True)

    def _optional_names(self) -> list[str]:
        enabled = {services.GATEWAY: self._optional.gateway, services.CANARY: self._optional.canary}
        return [name for name, is_enabled in enabled.items() if is_enabled]

    def _shut_down(self) -> None:
        self._supervisor.stop(self._optional_names())
        if not self._local_broker:
            return
        self._say("processing the queued events, which the local broker does not keep (Ctrl-C again: stop now)")
        if not self._supervisor.drain(self._settings.drain_s, lambda: self._stop_requests.count > 1):
            self._say("stopped before all events were processed: the queued ones are lost, send them again")
        self._supervisor.stop(self._supervisor.dependents(services.BROKER))
        subprocess.run(
            [*services.lookstream_command(), "dead-letters", "save"], check=False, stdin=subprocess.DEVNULL
        )

    def _write_state(self, *, ready: bool) -> None:
        bootstrap = self._kafka.bootstrap if self._local_broker else None
        page = self._page if ready else None
        serving = self._indexes.get(self._serving)
        state = LocalState(os.getpid(), bootstrap, serving, ready, page, self._metrics, self._indexes)
        replace(state, generations=tuple(sorted(self._generations))).write(self._folder)

    def _announce(self) -> None:
        index = (
            ", ".join(self._settings.qdrant.places) or f"embedded, in {index_folder(self._folder, self._serving)}"
        )
        kafka, encoder = self._kafka.bootstrap, self._register.read().serving.encoder
        self._say(f"lookstream is up. Kafka: {kafka}. Index: {index}. Encoder: {encoder}. Ctrl-C stops it.")
        if self._page:
            self._say(f"the page: {self._page}")
        for job, port in self._metrics.items():
            self._say(f"metrics, {job}: http://{LOOPBACK}:{port}/metrics")


def _wait_for_broker(kafka: KafkaSettings) -> None:
    host, port = str(kafka.bootstrap).rsplit(":", 1)
    if not any(is_listening((host, int(port))) for _ in Retry(BROKER_SECONDS, max_pause=0.2).attempts()):
        raise ServiceFailed(f"the broker did not come back on {kafka.bootstrap}")
    check_broker(kafka)
