"""The whole system as a user runs it: `lookstream up` on a folder of its own, and commands on this folder."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from infra.config.kafka import KafkaSettings
from infra.local_state import read_local_state
from infra.qdrant.embedded.client import EmbeddedIndex
from infra.qdrant.point_ids import point_id
from schemas.failures import Unavailable
from tests.end_to_end import forked_cli
from tests.kafka.shared import kafka_environment, kafka_of
from tests.qdrant_server import points_in

LOOKSTREAM = (sys.executable, "-m", "lookstream")
ROOT = Path(__file__).parents[2]
READY_SECONDS = 90


@dataclass
class System:
    """A `lookstream up` on a data folder; gateway and canary only if they are switched on."""

    folder: Path
    environment: Mapping[str, str]
    process: "subprocess.Popen[bytes] | None" = None
    gateway: bool = False
    canary: bool = False
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder.parent / f"{self.folder.name}.log"

    def start(self) -> "System":
        """Start it and wait until it is ready."""
        self.launch()
        self.wait_until_ready()
        return self

    def launch(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            command = [*LOOKSTREAM, "up", f"--{'' if self.gateway else 'no-'}gateway"]
            command += ["--canary"] if self.canary else []
            self.process = subprocess.Popen(command, env=dict(self.environment), stdout=log, stderr=log, cwd=ROOT)

    def wait_until_ready(self) -> None:
        """Wait until it is ready; fails when it ends instead."""
        self.wait_for(lambda: self.is_ready, "the system to be ready", READY_SECONDS)

    @property
    def is_ready(self) -> bool:
        running = read_local_state(self.folder)
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return running is not None and running.ready

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Ask it to stop; its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(150)  # longer than it may take to drain

    def run(self, *words: str | Path, code: int = 0) -> "subprocess.CompletedProcess[str]":
        """Run a lookstream command on the same data folder; it must end with this exit code."""
        done = forked_cli.run([*map(str, words)], self.environment, ROOT, 120)
        assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}\n{self.log.read_text()}"
        assert "Traceback" not in done.stderr
        return done

    def search(self, *words: str | Path) -> dict[str, Any]:
        """The result of a search, as JSON."""
        found: dict[str, Any] = json.loads(self.run("search", *words, "--json").stdout)
        return found

    def metrics(self, job: str) -> dict[str, float]:
        """The metrics of the worker with this job: the sum of each over its labels."""
        running = read_local_state(self.folder)
        assert running is not None
        with urlopen(f"http://127.0.0.1:{running.metrics[job]}/metrics") as response:
            families = list(text_string_to_metric_families(response.read().decode()))
        found = defaultdict[str, float](float)
        for sample in (sample for family in families for sample in family.samples):
            found[sample.name] += sample.value
        return found

    @property
    def has_local_broker(self) -> bool:
        """Whether it starts a broker of its own."""
        return not self.environment.get("LOOKSTREAM_KAFKA_BOOTSTRAP")

    @property
    def kafka(self) -> KafkaSettings:
        """How to reach its Kafka."""
        running = read_local_state(self.folder)
        assert running is not None
        return kafka_of(self.environment, running.bootstrap)

    def indexed(self, items: Sequence[str], tenant: str = "default") -> int:
        """How many of these items the index holds now; 0 while it is away."""
        running = read_local_state(self.folder)
        ids = [point_id(tenant, item, 0) for item in items]
        if "LOOKSTREAM_QDRANT_URL" in self.environment:
            return points_in(self.environment, ids)
        if running is None or running.index is None:
            return 0
        index = EmbeddedIndex(running.index)
        try:
            return len(index.payloads(ids, ("state",)))
        except Unavailable:
            return 0
        finally:
            index.close()

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = 60, every: float = 0.05) -> None:
        """Check a condition every `every` seconds until it holds; fails with the system's log after `seconds`."""
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, f"waited {seconds} s for {what}\n{self.log.read_text()}"
            time.sleep(every)

    def children(self) -> dict[str, int]:
        """Process ids of the parts, by a word of their command lines."""
        assert self.process is not None
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        lines = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0") for pid in pids}
        words = ("broker", "embedded-index", "index", "query", "gateway")
        return {word: pid for pid, line in lines.items() for word in words if word in line}


def make_environment(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with settings of its own: the quick encoder unless another is named."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOOKSTREAM_")}
    own = {"LOOKSTREAM_DATA": str(folder), "LOOKSTREAM_ENCODER": "fake"}
    own |= {"LOOKSTREAM_KAFKA_SESSION_TIMEOUT_MS": "1000"}  # the local broker lets members join after half of it
    own |= {
        "LOOKSTREAM_KAFKA_FETCH_WAIT_MS": "100"
    }  # each fetch costs that broker time, and latency is no matter here
    own |= {
        "LOOKSTREAM_WORKER_NICENESS": "0"
    }  # other tests take the cores meanwhile: a nice worker could wait long
    return {**inherited, **own, **kafka_environment(folder), **settings}
