"""Systems that are ended, killed, restarted, or started with errors: each test has its own."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from PIL import Image

from infra.local.services import heartbeat_file
from infra.observability.heartbeat import HeartbeatFile
from tests.contracts.families import save_joint
from tests.end_to_end.shop import ITEMS, hits, index_shop
from tests.end_to_end.system import System


@pytest.mark.long
def test_what_was_queued_refused_or_watched_for_is_there_after_a_restart(
    system: System, shop: Path, discs: Path, tmp_path: Path
) -> None:
    printed = system.run("watch", "add", discs / "red.png", "--id", "reds", "--filter", "colour=red").stdout
    assert "0 items here" in printed
    index_shop(system, shop, discs)
    match = json.loads(system.run("watch", "follow", "--from-start", "--limit", "1", "--json").stdout)
    assert (match["watch_id"], match["hit"]["item_id"]) == ("reds", "red")
    system.run("watch", "add", "item:red", "--id", "more", "--min-confidence", "0.9")
    feed = tmp_path / "feed.jsonl"
    feed.write_text(json.dumps({"id": "liar", "title": "t", "image_link": "https://127.0.0.1/a.png"}) + "\n")
    system.run("ingest", "catalog", feed)
    system.wait_for(lambda: "source_refused" in system.run("dead-letters", "list").stdout, "the dead letter")

    system.run("ingest", "catalog", shop, "--image-root", discs, "--tenant", "late", code=1)
    assert system.stop(signal.SIGTERM) == 0
    if system.has_local_broker:  # it forgets: its dead letters are kept in a file
        letters = [json.loads(line) for line in (system.folder / "dead-letters.jsonl").read_text().splitlines()]
        assert "source_refused" in {letter["code"] for letter in letters}
    assert "source_refused" in system.run("dead-letters", "list").stdout

    system.start()
    if system.has_local_broker:
        assert system.indexed(ITEMS, "late") == len(ITEMS), "what is queued is finished before it stops"
    system.wait_for(lambda: system.indexed(ITEMS, "late") == len(ITEMS), "what was queued to be indexed")
    assert hits(system.search(discs / "blue.png"))[0] == "blue"
    listed = system.run("watch", "list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["default:reds", "default:more"]
    system.run("watch", "remove", "reds", "more")
    assert "there are no standing searches" in system.run("watch", "list").stderr
    refused = system.run("watch", "remove", "reds", code=2)
    assert "has no watch reds" in refused.stderr
    refused = system.run("watch", "add", "item:nobody", code=1)
    assert "item nobody is not indexed" in refused.stderr


def test_a_worker_of_an_earlier_run_that_is_not_started_again_is_no_matter_of_health(system: System) -> None:
    system.stop()
    gone = heartbeat_file(system.folder, "index-7")
    HeartbeatFile(gone).beat()
    os.utime(gone, (0, 0))
    assert "index-7 worker" in system.run("health", code=1).stdout, "while nothing runs it may be somebody's"
    system.start()
    system.run("health")


@pytest.mark.local_broker("it takes its topics along when it dies")
def test_after_the_local_broker_was_killed_the_system_works_again(system: System, shop: Path, discs: Path) -> None:
    os.kill(system.children()["broker"], signal.SIGKILL)
    system.wait_for(lambda: "lost its topics" in system.log.read_text(), "the loss to be said")

    def found() -> bool:
        # Sent again until it arrives: what is sent while the broker comes back may be lost with it.
        index_command = ("ingest", "catalog", shop, "--image-root", discs)
        system.run(*index_command, code=1)
        return system.indexed(ITEMS) == len(ITEMS)

    system.wait_for(found, "the feed to be indexed")
    assert hits(system.search(discs / "red.png"))[0] == "red"


def test_systems_that_start_in_the_same_instant_run_at_the_same_time(make_system: Callable[..., System]) -> None:
    systems = [make_system(name) for name in ("one", "other")]
    for system in systems:
        system.launch()
    for system in systems:
        system.wait_until_ready()
    assert all(system.is_ready for system in systems)


@pytest.mark.long
def test_after_its_supervisor_was_killed_it_starts_again_on_any_port_but_with_no_other_encoder(
    system: System, make_system: Callable[..., System]
) -> None:
    assert {"index", "query"} <= system.children().keys()
    children = system.children().values()
    assert system.process is not None
    os.kill(system.process.pid, signal.SIGKILL)
    system.process.wait()
    system.wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "the children to end", 20)
    refused = make_system(LOOKSTREAM_ENCODER="fake2").run("up", code=1)
    assert "fake:1" in refused.stderr
    assert "fake:2" in refused.stderr
    with default_port_in_use():
        assert system.start().is_ready


@contextmanager
def default_port_in_use() -> Iterator[None]:
    """The default port of the local broker is in use."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # somebody has it already: that will do, too
            listener.bind(("127.0.0.1", 9092))
            listener.listen()
        yield


@pytest.mark.parametrize(
    ("words", "settings", "printed"),
    [
        (("up",), {"LOOKSTREAM_KAFKA_BOOTSTRAP": "127.0.0.1:1"}, "no Kafka broker answers at 127.0.0.1:1"),
        (
            ("up",),
            {"LOOKSTREAM_QDRANT_URL": "http://127.0.0.1:1", "LOOKSTREAM_QDRANT_GRPC_PORT": "1"},
            "check LOOKSTREAM_QDRANT_URL",
        ),
        (("up",), {"LOOKSTREAM_KAFKA_FETCH_WAIT_MS": "soon"}, "LOOKSTREAM_KAFKA_FETCH_WAIT_MS"),
        (("search", "a.png"), {}, "a.png"),
        (("search", "item:x"), {}, "lookstream up"),
        (("delete", "x"), {}, "lookstream up"),
        (("dead-letters", "list"), {}, "lookstream up"),
        (("ingest", "catalog", "nowhere.csv"), {}, "nowhere.csv"),
        (("ingest", "social", "nowhere.jsonl"), {}, "nowhere.jsonl"),
    ],
)
def test_what_is_not_there_is_named_in_one_sentence(
    make_system: Callable[..., System], words: tuple[str, ...], settings: dict[str, str], printed: str
) -> None:
    system = make_system(**{"LOOKSTREAM_KAFKA_BOOTSTRAP": "", **settings})
    code = 2 if printed == words[-1] else 1
    failed = system.run(*words, code=code)
    assert printed in failed.stderr
    assert "Traceback" not in failed.stderr


def test_secrets_are_masked_in_the_settings(make_system: Callable[..., System]) -> None:
    system = make_system(LOOKSTREAM_QDRANT_API_KEY="canary-secret", LOOKSTREAM_KAFKA_SASL_PASSWORD="canary-secret")
    printed = system.run("config").stdout
    assert "LOOKSTREAM_QDRANT_API_KEY" in printed
    assert "canary-secret" not in printed


def test_a_system_with_a_clip_model_reads_texts_by_their_meaning(
    make_system: Callable[..., System], shop: Path, discs: Path, tmp_path: Path
) -> None:
    with Image.open(discs / "blue.png") as disc:
        model = save_joint("clip", tmp_path / "clip", {"cosy": disc.convert("RGB")})
    system = make_system(LOOKSTREAM_ENCODER=str(model), LOOKSTREAM_TORCH_PRECISION="float32")
    assert "reads pictures and texts" in system.run("config").stdout
    system.start()
    index_shop(system, shop, discs)
    result = system.search("--text", "cosy", "--best-effort")
    assert [word["kind"] for word in result["understood"]] == ["meaning"]
    assert result["hits"][0]["item_id"] == "blue"
    printed = system.run("search", discs / "red.png", "--text", "cosy", "--best-effort").stdout
    assert "cosy (meaning)" in printed
