"""Baselines that a competent user could write in an afternoon: a loop over Kafka, and a script over a folder.

Both look at each picture once, through the networks of a default encoder with the same weights, as PyTorch runs
them by itself (eager, float32, all threads), and write into the engine that comes with qdrant-client. They have no
colours, thumbnails, categories, duplicates, revisions, retries or outcomes: what they do is a part of the work.
"""

import json
import time
import uuid
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Sequence
from contextlib import closing
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from confluent_kafka import Consumer
from PIL import Image
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, PointStruct, VectorParams
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from infra.encoder.efficientnet import from_checkpoint
from infra.encoder.lite import PROFILES, checkpoint
from infra.encoder.stages import HEAD
from infra.fetching.content_store import FOLDER
from schemas.topics import CATALOG_ITEMS
from tests.benchmarks.whole_path import kafka_of
from tests.end_to_end.system import System

COLLECTION = "pictures"
SCRIPT_BATCH = 32
SILENCE_SECONDS = 30.0
"""A loop that is given nothing for so long has missed something."""


class PlainNetwork:
    """The networks of `fast`, `balanced` or `best`, as their modules come: RGB pictures to unit vectors."""

    def __init__(self, name: str) -> None:
        self._variants, self._side = PROFILES[name]
        self._networks = [from_checkpoint(checkpoint(variant), variant).train(False) for variant in self._variants]
        self.size = HEAD * len(self._networks)

    def look(self, images: Sequence[Image.Image]) -> list[list[float]]:
        """The vector of each picture, all of them in one pass."""
        pixels = torch.stack([self._prepare(image) for image in images])
        with torch.inference_mode():
            features = torch.cat([network.maps(pixels).last.mean((2, 3)) for network in self._networks], 1)
        vectors: list[list[float]] = torch.nn.functional.normalize(features).tolist()
        return vectors

    def operations(self) -> int:
        """Floating-point operations for one picture, a multiplication and an addition counted as two."""
        with FlopCounterMode(display=False) as counter:
            self.look([Image.new("RGB", (self._side, self._side))])
        return int(counter.get_total_flops())

    def _prepare(self, image: Image.Image) -> Tensor:
        small = image.convert("RGB").resize((self._side, self._side), Image.Resampling.BICUBIC)
        return torch.from_numpy(np.array(small)).permute(2, 0, 1).float().sub(127).div(128)


class PlainIndex:
    """A collection in the engine that qdrant-client brings along, kept in a folder."""

    def __init__(self, folder: Path, size: int) -> None:
        self._client = QdrantClient(path=str(folder))
        self._client.create_collection(COLLECTION, VectorParams(size=size, distance=Distance.COSINE))

    def write(self, names: Sequence[str], vectors: Sequence[list[float]]) -> None:
        """Put points in."""
        points = [
            PointStruct(id=uuid.uuid5(uuid.NAMESPACE_URL, name).hex, vector=vector, payload={"item_id": name})
            for name, vector in zip(names, vectors, strict=True)
        ]
        self._client.upsert(COLLECTION, points)

    def close(self) -> None:
        """Let go of the folder."""
        self._client.close()


def plain_network(encoder: str) -> PlainNetwork:
    """The networks of a default encoder; for any other those of the quickest."""
    return PlainNetwork(encoder if encoder in PROFILES else "fast")


def loop_over_kafka(system: System, tenant: str, pictures: int, network: PlainNetwork, index: PlainIndex) -> float:
    """Pictures a second of the plain loop over a tenant's catalogue events: read one, embed, write, commit.

    What it must read on its way that is not the tenant's counts neither in the pictures nor in the time.
    """
    settings: dict[str, str | int | bool] = {
        "bootstrap.servers": str(kafka_of(system).bootstrap),
        "group.id": f"plain-{uuid.uuid4().hex}",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": 6_000,
    }
    done, spent = 0, 0.0
    with closing(Consumer(settings)) as consumer:
        consumer.subscribe([CATALOG_ITEMS])
        heard = time.monotonic()
        while done < pictures:
            started = time.perf_counter()
            message = consumer.poll(1.0)
            if message is None or message.error() is not None:
                assert time.monotonic() - heard < SILENCE_SECONDS, f"{done} of {pictures} events came"
                continue
            heard, event = time.monotonic(), json.loads(message.value() or b"{}")
            if event["tenant"] != tenant:
                continue
            for image in _pictures(event, system.folder / FOLDER / tenant):
                index.write([f"{tenant}/{event['item_id']}"], network.look([image]))
                done += 1
            consumer.commit(message=message, asynchronous=False)
            spent += time.perf_counter() - started
    return done / spent


def script_over_folder(files: Sequence[Path], network: PlainNetwork, index: PlainIndex) -> float:
    """Pictures a second of the script: read, look at and write many at a time; there is no Kafka in it."""
    started = time.perf_counter()
    for n in range(0, len(files), SCRIPT_BATCH):
        few = files[n : n + SCRIPT_BATCH]
        index.write([file.name for file in few], network.look([Image.open(file) for file in few]))
    return len(files) / (time.perf_counter() - started)


def _pictures(event: dict[str, object], store: Path) -> Iterator[Image.Image]:
    """The pictures of an event, which holds them or says where its tenant has them in the content store."""
    images = event["images"]
    assert isinstance(images, list)
    for image in images:
        data = urlsafe_b64decode(image["data"]) if "data" in image else (store / image["path"]).read_bytes()
        yield Image.open(BytesIO(data))
