"""Canary secrets in every setting and address, and errors of every kind: no output may contain a canary."""

import base64
import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from typer.testing import CliRunner

from consumers.operations.dead_letters.dead_letter import latest, read_topics
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, OutgoingRecord, read_to_end
from lookstream.cli import app
from schemas.topics import (
    CATALOG_ITEMS,
    ITEM_OUTCOMES,
    ITEM_TOPICS,
    SEARCH_REQUESTS,
    SEARCH_RESULTS,
    dead_letter_topic,
)
from tests.chaos.brokers import broker_for_up, second_kafka
from tests.chaos.scenario import Report, Scenario, Size
from tests.end_to_end.system import LOOKSTREAM, ROOT, System, make_environment

CANARY = "canary"
"""The word in every secret; it occurs nowhere else."""
SETTINGS = {
    "LOOKSTREAM_KAFKA_SASL_PASSWORD": f"{CANARY}-sasl p@ss/\"w'",
    "LOOKSTREAM_KAFKA_SSL_KEY_PASSWORD": f"{CANARY}-key",
    "LOOKSTREAM_QDRANT_API_KEY": f"{CANARY}-qdrant",
    "LOOKSTREAM_IMAGES_S3_SECRET": f"{CANARY}-s3",
}
ADDRESS = f"https://ana:{CANARY}-password@{{host}}/a.png?signature={CANARY}-query#token={CANARY}-fragment"
SIGNED = f"://{{host}}/a.png?signature={CANARY}-query"
CRASH = "crash"
"""Id of the item that makes the worker crash, once."""
PATIENCE = 120.0

AT_START = """
import os, sys
from pathlib import Path

if "worker" in sys.orig_argv:
    import consumers.indexing.handler

    usual, flag = consumers.indexing.handler.ItemIndexer.handle, Path(os.environ["CRASHED"])

    def handle(self, events):
        if any(getattr(event.body, "item_id", "") == os.environ["CRASH"] for event in events) and not flag.exists():
            flag.write_text("once")
            secret = os.environ["LOOKSTREAM_KAFKA_SASL_PASSWORD"]
            raise RuntimeError("a bug of ours: " + secret + " " + os.environ["ADDRESS"])
        return usual(self, events)

    consumers.indexing.handler.ItemIndexer.handle = handle
"""
"""Runs at the start of every Python of the system: the worker has a bug, whose trace holds secrets."""
UNGUARDED = """
import infra.observability.redaction

infra.observability.redaction.Redaction.__call__ = lambda self, text: text
"""
"""What the control adds: nothing is masked."""


class Host(BaseHTTPRequestHandler):
    """A picture host that answers with statuses and redirects; its addresses carry secrets."""

    def do_GET(self) -> None:
        """The first part of the path is the status."""
        status = int(self.path.split("/")[1])
        self.send_response(status)
        if status == 302:
            self.send_header("Location", ADDRESS.format(host="127.0.0.2"))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def picture_host() -> Iterator[str]:
    """A host on the loopback interface, as host:port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class CanaryCount:
    """The number of canaries in outputs, by the place of the output."""

    canaries: Counter[str] = field(default_factory=Counter)
    characters: Counter[str] = field(default_factory=Counter)

    def add(self, where: str, *texts: str | bytes | None) -> None:
        """Count the canaries in the texts of a place."""
        for text in filter(None, texts):
            self.canaries[where] += text.count(CANARY) if isinstance(text, str) else text.count(CANARY.encode())
            self.characters[where] += len(text)

    def judge(self, report: Report) -> None:
        """No place may hold one."""
        for where, characters in self.characters.items():
            report.expect(f"canaries in {where}", self.canaries[where], 0)
            report.figures[f"characters of {where}"] = characters


def bad_values(host: str) -> dict[str, bytes]:
    """Values of item events, by item id, that fail in different ways."""

    def item(name: str, **image: str) -> bytes:
        return json.dumps({"schema": "item.upserted/1", "item_id": name, "revision": 1, "images": [image]}).encode()

    secret = SETTINGS["LOOKSTREAM_KAFKA_SASL_PASSWORD"]
    urls = {
        "credentials": ADDRESS.format(host="cdn.example"),
        "private": "https" + SIGNED.format(host="127.0.0.2"),
        "unknown-host": "https" + SIGNED.format(host="nowhere.invalid"),
        "plain": "http" + SIGNED.format(host="cdn.example"),
        "port": "https" + SIGNED.format(host="cdn.example:8443"),
        "missing": f"http://{host}/404/a.png?signature={CANARY}-query",
        "forbidden": f"http://{host}/403/a.png?signature={CANARY}-query",
        "gone": f"http://{host}/410/a.png?signature={CANARY}-query",
        "broken": f"http://{host}/500/a.png?signature={CANARY}-query",
        "redirected": f"http://{host}/302/a.png?signature={CANARY}-query",
        "backslash": f"https://ana:{CANARY}@cdn.example\\@127.0.0.1/",
    }
    values = {name: item(name, kind="url", url=url) for name, url in urls.items()}
    values |= {
        "file": item("file", kind="file", root="shop", path=ADDRESS.format(host="cdn.example")),
        "secret-path": item("secret-path", kind="file", root="shop", path=secret),
        "secret-root": item("secret-root", kind="file", root=f"{CANARY}-key", path="a"),
        "bucket": item("bucket", kind="s3", bucket="pictures", key=f"{CANARY}-s3"),
        "no-json": f"https://ana:{CANARY}-password@cdn.example".encode(),
        "no-schema": json.dumps({"schema": ADDRESS.format(host="cdn.example")}).encode(),
        "field": json.dumps({"schema": "item.upserted/1", ADDRESS.format(host="x"): 1, secret: 2}).encode(),
        CRASH: item(CRASH, kind="file", root="shop", path="nothing.png"),
    }
    return values


def send_failing_events(kafka: KafkaSettings, host: str) -> int:
    """Send all failing events; the number of dead letters that follow soon."""
    values, sink = bad_values(host), EventSink(kafka)
    headers: dict[str, bytes | None] = {
        "authorization": f"Bearer {CANARY}-token".encode(),
        "x-link": ADDRESS.format(host="cdn.example").encode(),
        "ce_source": ADDRESS.format(host="cdn.example").encode(),
    }
    for name, value in values.items():
        sink.send_record(OutgoingRecord(CATALOG_ITEMS, f"default:{name}".encode(), value, headers))
    # Its key is no item's. Queries stay in keys: they tell one item from another.
    sink.send_record(
        OutgoingRecord(CATALOG_ITEMS, f"!:https://ana:{CANARY}-password@cdn.example/a.png".encode(), None, headers)
    )
    searches = [b"no json at all", json.dumps({"schema": "search.request/1", ADDRESS: 1}).encode()]
    for n, value in enumerate(searches):
        sink.send_record(OutgoingRecord(SEARCH_REQUESTS, b"r", value, headers | {"correlation-id": b"%d" % n}))
    image = {"kind": "url", "url": ADDRESS.format(host="cdn.example")}
    request = {"schema": "search.request/1", "request_id": "r", "image": image, "deadline_ms": 60_000}
    sink.send_record(
        OutgoingRecord(SEARCH_REQUESTS, b"r", json.dumps(request).encode(), headers | {"correlation-id": b"r"})
    )
    sink.flush()
    return len(values) + 1 + len(searches) - len(("broken", "bucket"))  # those two are tried for minutes


def read_outputs(system: System, kafka: KafkaSettings, leaks: CanaryCount) -> None:
    """Read all outputs of a running system."""
    for topic in (ITEM_OUTCOMES, SEARCH_RESULTS):
        leaks.add(topic, *(record.value for record in read_to_end(kafka, [topic])))
    for record in read_to_end(kafka, [dead_letter_topic(topic) for topic in (*ITEM_TOPICS, SEARCH_REQUESTS)]):
        leaks.add("dead-* headers", *(value for name, value in record.headers.items() if name.startswith("dead-")))
    commands: list[tuple[str, ...]] = [
        ("config",),
        ("health",),
        ("dead-letters", "list"),
        ("dead-letters", "stats"),
    ]
    commands += [("dead-letters", "list", "--json"), ("dead-letters", "replay", "--dry-run")]
    for words in commands:
        done = system.run(*words)
        leaks.add(f"`{' '.join(words[:2])}`", done.stdout, done.stderr)
    for letter in latest(read_topics(kafka)).values():
        printed = CliRunner(env=system.environment).invoke(app, ["dead-letters", "show", letter.position])
        assert printed.exit_code == 0, printed.output
        leaks.add("`dead-letters show`", printed.stdout, printed.stderr)


def run_failing_commands(environment: Mapping[str, str], leaks: CanaryCount) -> None:
    """Commands that fail, with secrets in addresses of the settings."""
    qdrant = {"LOOKSTREAM_QDRANT_URL": f"http://ana:{CANARY}-url@127.0.0.1:1"}
    wrong = {"LOOKSTREAM_KAFKA_FETCH_WAIT_MS": f"https://ana:{CANARY}@b"}
    cases: Sequence[tuple[str, Mapping[str, str]]] = (("config", qdrant), ("health", qdrant), ("config", wrong))
    for command, settings in cases:
        done = subprocess.run(
            [*LOOKSTREAM, command],
            env={**environment, **settings},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        leaks.add("errors of commands", done.stdout, done.stderr)


def read_files(data: Path, leaks: CanaryCount) -> None:
    """Read every file of the data folder; of stored dead letters not the original bytes, which may hold secrets."""
    for path in sorted(path for path in data.rglob("*") if path.is_file()):
        if path.name != "dead-letters.jsonl":
            leaks.add("files", path.read_bytes())
            continue
        for line in path.read_text().splitlines():
            letter = json.loads(line)
            assert base64.b64decode(letter["value"] or "") or letter["value"] is None
            leaks.add("kept letters", *(str(letter[name]) for name in letter.keys() - {"key", "value", "headers"}))


def run_system(folder: Path, code: str) -> Report:
    """Start a system, make everything fail, and read all that it says; `code` runs at the start of each Python."""
    report, leaks, data = Report(), CanaryCount(), folder / "data"
    start = folder / "start"
    start.mkdir(parents=True)
    (folder / "shop").mkdir()
    (start / "sitecustomize.py").write_text(code)
    own = {
        "PYTHONPATH": str(start),
        "CRASH": CRASH,
        "CRASHED": str(folder / "crashed"),
        "ADDRESS": ADDRESS.format(host="cdn.example"),
        "LOOKSTREAM_LOGS_LEVEL": "debug",
        "LOOKSTREAM_LOGS_FORMAT": "json",
        "LOOKSTREAM_IMAGES_ROOTS": json.dumps({"shop": str(folder / "shop")}),
        "LOOKSTREAM_IMAGES_ALLOW_HTTP": "true",
        "LOOKSTREAM_IMAGES_ALLOW_HOSTS": '["127.0.0.1"]',
        "LOOKSTREAM_IMAGES_S3_BUCKETS": '["pictures"]',
        "LOOKSTREAM_IMAGES_S3_ENDPOINT": "http://127.0.0.1:1",
        "LOOKSTREAM_IMAGES_S3_KEY_ID": "nobody",
        "LOOKSTREAM_WORKER_DEAD_IN_A_ROW": "1000",
        "LOOKSTREAM_WORKER_DEAD_SHARE": "1",
    }
    with report.timed(), picture_host() as host, broker_for_up(folder) as (_, broker):
        system = System(data, make_environment(data, {**SETTINGS, **own, **broker})).start()
        try:
            kafka = second_kafka(system)
            letters = send_failing_events(kafka, host)
            system.wait_for(lambda: dead(kafka) >= letters, "the dead letters", PATIENCE)
            read_outputs(system, kafka, leaks)
            run_failing_commands(system.environment, leaks)
        finally:
            system.stop()
        leaks.add("log", system.log.read_text())
        read_files(data, leaks)
        report.expect("the worker crashed with a trace", "a bug of ours" in system.log.read_text(), True)
    leaks.judge(report)
    return report


def dead(kafka: KafkaSettings) -> int:
    return len(latest(read_topics(kafka)))


def run(folder: Path, _size: Size) -> Report:
    """The system as it is, but for the bug."""
    return run_system(folder, AT_START)


def control(folder: Path, _size: Size) -> Report:
    """The same without redaction."""
    return run_system(folder, UNGUARDED + AT_START)


SCENARIO = Scenario(
    "secrets",
    "canary secrets in settings, addresses and headers, with errors of every kind and a crash: 0 in logs, dead "
    "letters, outcomes, results, files and what commands print",
    run,
    control,
)
