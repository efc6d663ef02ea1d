"""Feeds for chaos tests: seeded item events (late, duplicated, deletions, bad ones) and their expected state."""

import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from hashlib import sha256
from itertools import pairwise

from PIL import Image, ImageDraw

from infra.kafka import Record
from schemas.envelope import Event, to_bytes, to_headers
from schemas.items import InlineImage, ItemDeleted, ItemEvent, ItemUpserted, item_key
from schemas.topics import CATALOG_ITEMS

TENANT = "default"
ANY_PARTITION = -1
PICTURES = 48
"""Different pictures in all feeds together."""
SIDE, STREET_SIDE = 24, 200
"""Of the pictures of one disc, and of those of two, in pixels."""
LEAST_SPREAD = 500
"""Late events and duplicates come up to so many events later, at least: in another batch, that is."""


@dataclass(frozen=True)
class Mix:
    """The shares of a feed's events that are late, duplicated, deletions, or show a new picture."""

    late: float = 0.0
    """They come after the next event of their item."""
    duplicated: float = 0.0
    """They come a second time, later."""
    deleted: float = 0.0
    """They are deletions."""
    new_picture: float = 0.1
    """The share of the upserts that show another picture than the upsert before."""
    has_things: bool = False
    """Whether each picture has two things that are large enough to be found, which takes longer."""


@dataclass(frozen=True)
class ExpectedItem:
    """What the index must hold of an item at the end; no pictures: it is deleted."""

    revision: int
    title: str = ""
    price: float = 0.0
    pictures: tuple[str, ...] = ()
    """SHA-256 of each."""


@dataclass
class Feed:
    """Records in the order in which they are sent, and their expected results."""

    records: list[Record] = field(default_factory=list)
    items: dict[str, ExpectedItem] = field(default_factory=dict)
    """By item id."""
    events: set[str] = field(default_factory=set)
    """Ids of the events that are good."""
    bad: dict[str, str] = field(default_factory=dict)
    """Ids of the events that must be refused, and the code of each."""

    def joined(self, other: "Feed") -> "Feed":
        """This feed and, after it, another one of other items."""
        items, events, bad = self.items | other.items, self.events | other.events, self.bad | other.bad
        return Feed([*self.records, *other.records], items, events, bad)

    def parts(self, count: int) -> Iterator[Sequence[Record]]:
        """The records in `count` parts of about one length."""
        ends = [round(len(self.records) * n / count) for n in range(count + 1)]
        return (self.records[start:end] for start, end in pairwise(ends))


class EventWriter:
    """Writes item events, each with a higher revision than all before it."""

    def __init__(self, seed: int, mix: Mix | None = None) -> None:
        self._chance = random.Random(seed)
        self._mix = mix or Mix()
        self._revision = 0
        self._pictures: dict[str, int] = {}
        self.feed = Feed()

    def event(self, item: str) -> Record:
        """The next event of an item, as a record; the feed's expected state includes it."""
        self._revision += 1
        deleted = self._chance.random() < self._mix.deleted
        return self._deletion(item) if deleted else self._upsert(item)

    def _upsert(self, item: str) -> Record:
        if item not in self._pictures or self._chance.random() < self._mix.new_picture:
            self._pictures[item] = self._chance.randrange(PICTURES)
        first = self._pictures[item]
        draw_one = draw_two_discs if self._mix.has_things else draw
        drawn = [draw_one(n % PICTURES) for n in range(first, first + 1 + (first % 4 == 0))]
        price = self._revision % 10_000 + 0.5
        body = ItemUpserted(
            tenant=TENANT,
            item_id=item,
            revision=self._revision,
            images=tuple(InlineImage(data=data) for data in drawn),
            title=f"{item} as of {self._revision}",
            category="thing",
            price=Decimal(str(price)),
            currency="EUR",
        )
        sums = tuple(sha256(data).hexdigest() for data in drawn)
        self.feed.items[item] = ExpectedItem(self._revision, str(body.title), price, sums)
        return self._record(body)

    def _deletion(self, item: str) -> Record:
        self.feed.items[item] = ExpectedItem(self._revision)
        return self._record(ItemDeleted(tenant=TENANT, item_id=item, revision=self._revision))

    def _record(self, body: ItemEvent) -> Record:
        event = Event(body, source="chaos", id=f"{body.item_id}@{body.revision}")
        self.feed.events.add(event.id)
        headers = {name: value.encode() for name, value in to_headers(event).items()}
        key = item_key(body.tenant, body.item_id).encode()
        return Record(CATALOG_ITEMS, ANY_PARTITION, 0, key, to_bytes(body), headers)


def write_feed(events: int, items: int, seed: int, mix: Mix | None = None, name: str = "item") -> Feed:
    """`events` events of `items` items, each of which has at least one; duplicates come on top.

    The items are called by `name` and a number.
    """
    mix = mix or Mix()
    rng = random.Random(seed)
    writer = EventWriter(seed, mix)
    names = [f"{name}-{n}" for n in range(items)]
    order = names + [rng.choice(names) for _ in range(events - items)]
    rng.shuffle(order)
    sent = [(float(time), writer.event(item)) for time, item in enumerate(order)]
    writer.feed.records = [record for _, record in sorted(_disturbed(sent, mix, rng), key=lambda one: one[0])]
    return writer.feed


def _disturbed(
    sent: Sequence[tuple[float, Record]], mix: Mix, rng: random.Random
) -> Iterator[tuple[float, Record]]:
    """The records with their positions in the feed: some after the next of their item, some twice."""
    after: dict[bytes | None, float] = {}
    spread = max(len(sent) / 20, LEAST_SPREAD)
    for time, record in reversed(sent):
        late = record.key in after and rng.random() < mix.late
        comes = after[record.key] + rng.uniform(0, spread) if late else time
        yield comes, record
        if rng.random() < mix.duplicated:
            yield comes + rng.uniform(0, spread), record
        after[record.key] = time


def add_bad(feed: Feed, bad: Sequence[tuple[Record, str]], seed: int) -> None:
    """Spread records that must be refused over a feed; each comes with the code that it must get."""
    rng = random.Random(seed)
    places = sorted(rng.randrange(len(feed.records) + 1) for _ in bad)
    mixed, start = list[Record](), 0
    for place, record in zip(places, name_bad(feed, bad), strict=True):
        mixed += feed.records[start:place]
        mixed.append(record)
        start = place
    feed.records = mixed + feed.records[start:]


def name_bad(feed: Feed, bad: Sequence[tuple[Record, str]]) -> list[Record]:
    """Records that must be refused, each with an id by which the feed knows its code from now on."""
    named: list[Record] = []
    for record, code in bad:
        identity = f"bad-{len(feed.bad)}"
        feed.bad[identity] = code
        headers = {**record.headers, "ce_id": identity.encode()}
        named.append(Record(record.topic, ANY_PARTITION, 0, record.key, record.value, headers))
    return named


@cache
def draw(number: int) -> bytes:
    """A picture like no other of another number, as PNG: a disc on a ground."""
    rng = random.Random(number)
    image = Image.new("RGB", (SIDE, SIDE), tuple(rng.randrange(256) for _ in range(3)))
    x, y = rng.randrange(SIDE // 2), rng.randrange(SIDE // 2)
    ImageDraw.Draw(image).ellipse((x, y, x + 9, y + 9), fill=tuple(rng.randrange(256) for _ in range(3)))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@cache
def draw_two_discs(number: int) -> bytes:
    """A picture like no other of another number, as PNG: two large discs on white."""
    rng = random.Random(number)
    image = Image.new("RGB", (2 * STREET_SIDE, STREET_SIDE), "white")
    for x in (20, STREET_SIDE + 20):
        side = rng.randrange(100, 150)
        ImageDraw.Draw(image).ellipse(
            (x, 30, x + side, 30 + side), fill=tuple(rng.randrange(200) for _ in range(3))
        )
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
