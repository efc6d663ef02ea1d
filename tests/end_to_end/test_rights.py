"""The system with a user for each part and exactly the documented rights; errors name a missing right."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from infra.config.kafka import KafkaSettings
from infra.kafka import create_topics
from infra.kafka_admin.access import KafkaUser, access_rights
from infra.observability.heartbeat import is_ready, read_state
from schemas.topics import all_topics
from tests.end_to_end.gateway import second_gateway
from tests.end_to_end.system import LOOKSTREAM, ROOT, System, make_environment
from tests.infra.kafka.secured_kafka import USERS, environment_of, grant
from tests.kafka.apache import ApacheNode, apache_node

FRESH_SECONDS = 60
LIVE = (
    KafkaUser.INDEX,
    KafkaUser.QUERY,
    KafkaUser.GATEWAY,
    KafkaUser.SEND,
    KafkaUser.SEARCH,
    KafkaUser.WATCH,
    KafkaUser.DEAD_LETTERS,
)


@pytest.fixture(scope="module")
def node(kafka_server: str | None) -> Iterator[ApacheNode]:
    """Apache Kafka with a user for each part with the documented rights; with all topics."""
    if kafka_server is None:
        pytest.skip("users and ACLs are Apache Kafka's: `make conformance` runs this")
    with apache_node(USERS) as node:
        create_topics(KafkaSettings(bootstrap=node.internal), all_topics())
        for part in LIVE:
            grant(node, part)
        yield node


@pytest.fixture(scope="module")
def system(node: ApacheNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """An index, which `up` owns; its own workers work on topics of their own and do nothing here."""
    folder = tmp_path_factory.mktemp("rights") / "data"
    own = {"LOOKSTREAM_KAFKA_BOOTSTRAP": node.internal, "LOOKSTREAM_KAFKA_PREFIX": "other."}
    own |= {"LOOKSTREAM_KAFKA_SESSION_TIMEOUT_MS": "6000"}
    system = System(folder, make_environment(folder, own)).start()
    yield system
    system.stop()


@contextmanager
def worker(system: System, node: ApacheNode, part: KafkaUser) -> Iterator[Path]:
    """A worker as its own user; the path of its log, beside which its heartbeat is."""
    log = system.folder.parent / f"{part}.log"
    log.unlink(missing_ok=True)
    heartbeat_of(log).unlink(missing_ok=True)
    command = [*LOOKSTREAM, "worker", part, "--heartbeat", str(heartbeat_of(log)), "--metrics", "0"]
    with log.open("wb") as file, subprocess.Popen(
        command, env=as_user(system, node, part), stdout=file, stderr=file, cwd=ROOT
    ) as process:  # fmt: skip
        try:
            yield log
        finally:
            process.send_signal(signal.SIGTERM)


def heartbeat_of(log: Path) -> Path:
    """Where the worker with this log says how it is."""
    return log.with_suffix(".alive")


def as_user(system: System, node: ApacheNode, part: KafkaUser) -> dict[str, str]:
    """The environment of a part that runs as its own user."""
    inherited = {
        name: value for name, value in system.environment.items() if not name.startswith("LOOKSTREAM_KAFKA_")
    }
    return inherited | environment_of(node, part)


def run(system: System, node: ApacheNode, part: KafkaUser, *words: str | Path, code: int = 0) -> str:
    """The result of a command, run as this part's user."""
    with_credentials = replace(system, environment=as_user(system, node, part))
    done = with_credentials.run(*words, code=code)
    return done.stdout + done.stderr


def test_each_part_works_with_its_own_rights_alone(
    system: System, node: ApacheNode, discs: Path, tmp_path: Path
) -> None:
    feed = tmp_path / "feed.csv"
    feed.write_text(
        "id,title,image_link\nred,A red disc,red.png\nblue,A blue disc,blue.png\nbad,Nothing,none.png\n"
    )
    (tmp_path / "bad").mkdir()
    with worker(system, node, KafkaUser.INDEX) as index, worker(system, node, KafkaUser.QUERY) as query:
        for log in (index, query):
            wait_until_ready(system, log)
        run(system, node, KafkaUser.SEND, "ingest", "catalog", feed, "--image-root", discs, code=1)
        system.wait_for(lambda: system.indexed(["red", "blue"]) == 2, "the items to be indexed")
        found = json.loads(run(system, node, KafkaUser.SEARCH, "search", discs / "red.png", "--json"))
        assert found["hits"][0]["item_id"] == "red"
        run(system, node, KafkaUser.SEARCH, "facets")
        run(system, node, KafkaUser.WATCH, "watch", "list")
        run(system, node, KafkaUser.DEAD_LETTERS, "dead-letters", "stats")
        of_gateway = replace(system, environment=as_user(system, node, KafkaUser.GATEWAY))
        with second_gateway(of_gateway) as address, httpx.Client(base_url=address, timeout=60) as client:
            assert client.get("/readyz").status_code == 200
            found = client.post("/v1/search", files={"picture": (discs / "red.png").read_bytes()}).json()
            assert found["hits"][0]["item_id"] == "red"
            gone = client.delete("/v1/items/blue")
            assert client.get(gone.headers["Location"], params={"wait": 30}).json()["schema"] == "item.removed/1"
        for log in (index, query):
            assert "uthorization" not in log.read_text()


@pytest.mark.parametrize(
    ("part", "resource", "words"),
    [
        (KafkaUser.SEND, "catalog.items", ("delete", "red")),
        (KafkaUser.SEARCH, "search.requests", ("search", "item:red")),
        (KafkaUser.SEARCH, "search.results", ("search", "item:red")),
        (KafkaUser.WATCH, "search.watches", ("watch", "list")),
        (KafkaUser.DEAD_LETTERS, "catalog.items.dead", ("dead-letters", "stats")),
    ],
)
def test_a_command_names_the_right_that_is_missing(
    system: System, node: ApacheNode, part: KafkaUser, resource: str, words: tuple[str, ...]
) -> None:
    with without(node, part, resource):
        failed = run(system, node, part, *words, code=1)
    assert resource in failed
    assert "uthoriz" in failed or "lookstream topics acls" in failed


@pytest.mark.parametrize(
    ("part", "resource", "named"),
    [
        (KafkaUser.INDEX, "catalog.items", "catalog.items"),
        (KafkaUser.INDEX, "lookstream-index", "Read the group"),
        (KafkaUser.QUERY, "search.requests", "search.requests"),
        (KafkaUser.QUERY, "lookstream-query", "Read the group"),
        (KafkaUser.QUERY, "lookstream-query-", "transactional id"),
    ],
)
def test_a_worker_names_the_right_that_is_missing(
    system: System, node: ApacheNode, part: KafkaUser, resource: str, named: str
) -> None:
    with without(node, part, resource), worker(system, node, part) as log:
        system.wait_for(lambda: named in read_log(log), f"the {part} worker to name what it misses")
        assert "uthoriz" in read_log(log)
        assert not is_ready(heartbeat_of(log), FRESH_SECONDS)


def read_log(log: Path) -> str:
    """The messages of the worker with this log, there and in its heartbeat."""
    state = read_state(heartbeat_of(log))
    return log.read_text() + (state.why or "" if state else "")


@contextmanager
def without(node: ApacheNode, part: KafkaUser, resource: str) -> Iterator[None]:
    """Remove a part's rights on this resource."""
    needed = access_rights(part)
    left = [right for right in needed if right.name != resource]
    assert len(left) < len(needed)
    grant(node, part, left)
    yield
    grant(node, part)


def wait_until_ready(system: System, log: Path) -> None:
    """Wait until the worker with this log does its work."""
    system.wait_for(lambda: is_ready(heartbeat_of(log), FRESH_SECONDS), f"{log.stem} to be ready")
