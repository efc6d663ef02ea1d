"""Dead letters are replayed, newer events come in meanwhile, the replay is killed: nothing is lost or undone."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from consumers.operations.dead_letters.dead_letter import DeadLetter, latest, read_topics
from consumers.operations.dead_letters.replay_audit import read_audit
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, read_to_end
from infra.local_state import read_local_state
from infra.qdrant.embedded.client import EmbeddedIndex
from infra.qdrant.point_ids import point_id
from schemas.envelope import Event
from schemas.items import FileImage, InlineImage, ItemDeleted, ItemEvent, ItemUpserted, item_key
from schemas.topics import CATALOG_ITEMS
from tests.chaos.brokers import broker_for_up, second_kafka
from tests.chaos.scenario import Report, Scenario, Size
from tests.conftest import draw_disc
from tests.end_to_end.system import LOOKSTREAM, ROOT, System, make_environment

OLD, NEW = 10, 20
"""Revisions of the events whose pictures are missing, and of the newer ones."""
LIVE, DEAD = ("live", "dead")
RATE = "400"
"""Records a second: a thousand letters last long enough to be interrupted."""
PATIENCE = 120.0

REPLAY = ("dead-letters", "replay", "--rate", RATE)
WITHOUT_SAFEGUARDS = """
import json, os, signal, sys
from dataclasses import replace
import consumers.operations.dead_letters.replay as replaying
from lookstream.__main__ import main

usual, record_of, seen = replaying.Replay._send, replaying.replayed_record, []

def newer(letter, replay_id):
    record = record_of(letter, replay_id)
    event = json.loads(record.value) | {"revision": 1_000_000}
    return replace(record, value=json.dumps(event).encode())

def note_first(self, letter, code):
    seen.append(letter)
    if len(seen) == int(os.environ["DIE_AT"]):
        self._sink = type("Nothing", (), {"send_record": lambda _, r: None, "flush": lambda _: None})()
        usual(self, letter, code)
        os.kill(os.getpid(), signal.SIGKILL)
    usual(self, letter, code)

replaying.replayed_record, replaying.Replay._send = newer, note_first
main()
"""
"""A replay that gives new revisions, and notes a letter before it was sent, at which moment it is killed."""


@dataclass
class Shop:
    """A running system, and the expected state of its items."""

    system: System
    kafka: KafkaSettings
    pictures: Path
    sink: EventSink
    model: dict[str, tuple[str, int]] = field(default_factory=dict)
    """State and revision of each item."""

    def send(self, events: Sequence[ItemEvent]) -> None:
        """Send events; they are what counts from now on."""
        for event in events:
            self.sink.send(CATALOG_ITEMS, item_key(event.tenant, event.item_id), Event(event))
            self.model[event.item_id] = (DEAD if isinstance(event, ItemDeleted) else LIVE, event.revision)
        self.sink.flush()

    def found(self) -> dict[str, tuple[str, int]]:
        """State and revision of each item that the index holds."""
        running = read_local_state(self.system.folder)
        assert running is not None
        assert running.index is not None
        index = EmbeddedIndex(running.index)
        ids = {point_id("default", item, 0): item for item in self.model}
        payloads = index.payloads(list(ids), ["state", "base"])
        index.close()
        return {ids[id]: (str(payload["state"]), int(str(payload["base"]))) for id, payload in payloads.items()}

    def wait_until_read(self) -> None:
        """Wait until the worker has processed the whole topic: the last record is processed last."""
        marks = [f"mark-{n}-{time.monotonic_ns()}" for n in range(4)]
        for partition, item in enumerate(marks):
            self.model[item] = (LIVE, 1)
            event = Event(ItemUpserted(item_id=item, revision=1, images=(InlineImage(data=draw_disc("#181818")),)))
            self.sink.send(CATALOG_ITEMS, item_key("default", item), event, partition=partition)
        self.sink.flush()
        self.system.wait_for(lambda: set(marks) <= set(self.found()), "the topic to be read", PATIENCE)


@contextmanager
def open_shop(folder: Path) -> Iterator[Shop]:
    """A system whose items' pictures lie in a folder, with nothing in it yet."""
    pictures, data = folder / "pictures", folder / "data"
    pictures.mkdir(parents=True)
    settings = {
        "LOOKSTREAM_IMAGES_ROOTS": json.dumps({"shop": str(pictures)}),
        "LOOKSTREAM_WORKER_DEAD_IN_A_ROW": "1000000",
        "LOOKSTREAM_WORKER_DEAD_SHARE": "1",
    }
    with broker_for_up(folder) as (_, broker):
        system = System(data, make_environment(data, {**settings, **broker})).start()
        try:
            kafka = second_kafka(system)
            yield Shop(system, kafka, pictures, EventSink(kafka))
        finally:
            system.stop()


def fill(shop: Shop, count: int) -> None:
    """Send items whose pictures are missing, wait until all are dead letters, then put the pictures there."""
    items = [f"item-{n}" for n in range(count)]
    shop.send(
        [
            ItemUpserted(item_id=item, revision=OLD, images=(FileImage(root="shop", path=f"{item}.png"),))
            for item in items
        ]
    )
    shop.system.wait_for(lambda: len(latest(read_topics(shop.kafka))) == count, "the dead letters", PATIENCE)
    for item in items:
        (shop.pictures / f"{item}.png").write_bytes(draw_disc("#cc2222", 32))


def change(shop: Shop, items: Sequence[str]) -> None:
    """Something newer happens to items: half of them change, half are deleted."""
    picture = InlineImage(data=draw_disc("#2255cc", 32))
    changed = [ItemUpserted(item_id=item, revision=NEW, images=(picture,)) for item in items[::2]]
    shop.send([*changed, *(ItemDeleted(item_id=item, revision=NEW) for item in items[1::2])])


def replay_and_kill(shop: Shop, notes: int) -> None:
    """Begin a replay, and kill it once so many letters in all are noted."""
    process = subprocess.Popen(
        [*LOOKSTREAM, *REPLAY], env=dict(shop.system.environment), cwd=ROOT, stderr=subprocess.DEVNULL
    )
    audit = shop.system.folder / "dead-letters-audit.jsonl"
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        if audit.exists() and audit.read_bytes().count(b"\n") >= notes:
            break
        time.sleep(0.002)
    process.kill()
    process.wait()


def codes_of_new_letters(shop: Shop, known: Mapping[str, DeadLetter]) -> dict[str, int]:
    """How many letters of each code and message came since `known` was read: why a second replay had work to do."""
    new = (letter for id, letter in latest(read_topics(shop.kafka)).items() if id not in known)
    return dict(Counter(f"{letter.code}: {letter.message[:80]}" for letter in new))


def judge(shop: Shop, report: Report, kills: int) -> None:
    """Compare the index with the model, and the audit with the sent letters."""
    found = shop.found()
    report.expect("items lost", sum(item not in found for item in shop.model), 0)
    wrong = [item for item, state in found.items() if state != shop.model[item]]
    report.expect("items wrong", len(wrong), 0)
    sent = Counter(
        record.headers["replay-of"]
        for record in read_to_end(shop.kafka, [CATALOG_ITEMS])
        if "replay-of" in record.headers
    )
    noted = {note.position.encode() for note in read_audit(shop.kafka)}
    report.expect("replayed without a note", len(sent.keys() - noted), 0)
    report.expect("noted without a replay", len(noted - sent.keys()), 0)
    report.expect_at_most("replayed twice", sum(sent.values()) - len(sent), kills)
    report.figures["replayed"] = len(sent)


def run(folder: Path, size: Size) -> Report:
    """Newer events come before the replays and between them; two replays are killed, two more run to their end."""
    report, count, rng = Report(), size.of(1_000, 20), random.Random(size.seed)
    with report.timed(), open_shop(folder) as shop:
        fill(shop, count)
        items = rng.sample(list(shop.model), count)
        change(shop, items[: count // 5])
        shop.wait_until_read()
        kills = sorted(rng.sample(range(1, count * 3 // 5), 2))
        for n, notes in enumerate(kills, 1):
            replay_and_kill(shop, notes)
            change(shop, items[count * n // 5 : count * (n + 1) // 5][:10])
        first = shop.system.run(*REPLAY).stderr
        report.figures["first replay to its end"] = first.splitlines()[-1]
        replayed = latest(read_topics(shop.kafka))
        second = shop.system.run(*REPLAY).stderr
        report.figures["new letters"] = str(codes_of_new_letters(shop, replayed))
        report.expect("second replay to its end", second.splitlines()[-1], "replayed 0 of 0")
        shop.wait_until_read()
        judge(shop, report, len(kills))
    return report


def control(folder: Path, size: Size) -> Report:
    """The same with a replay that gives new revisions, and one that notes before it sends and is killed between."""
    report, count = Report(), size.of(1_000, 20)
    with report.timed(), open_shop(folder) as shop:
        fill(shop, count)
        environment = {**shop.system.environment, "DIE_AT": str(count // 2)}
        subprocess.run(
            [sys.executable, "-c", WITHOUT_SAFEGUARDS, *REPLAY],
            env=environment,
            cwd=ROOT,
            check=False,
            timeout=PATIENCE,
        )
        change(shop, [f"item-{n}" for n in range(10)])
        shop.system.run(*REPLAY)
        shop.wait_until_read()
        judge(shop, report, 1)
    if not (report.figures["items lost"] and report.figures["items wrong"]):
        report.broken.clear()  # one of the two safeguards was not missed: this control does not control
    return report


SCENARIO = Scenario(
    "dead letter replay",
    "1,000 dead letters replayed, with kill -9 of the replay and newer events meanwhile: state as the model says, "
    "0 lost, each noted, a second replay changes nothing",
    run,
    control,
)
