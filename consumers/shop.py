"""What both workers are made of: settings, Kafka, the index, and eyes."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass

import structlog

from consumers.confidence import Confidence
from consumers.curves import Parts
from consumers.decoding import Decoders
from consumers.null_looks import NullPictures, null_file
from consumers.vision.colour import make_colours
from consumers.vision.decode import Limits
from consumers.vision.look import Eyes, look_size
from infra.encoder import open_encoder
from infra.metrics import WorkerMetrics, exposed
from infra.qdrant.connect import connect
from infra.qdrant.plan import Index
from infra.settings import Kafka, Settings
from infra.slots import slot
from infra.tracing import Tracing, tracing
from schemas.failures import Unavailable

PATIENCE_SECONDS = 30.0
"""How long a starting worker waits for an index that is away."""
AGAIN_SECONDS = 0.5


@dataclass(frozen=True)
class Shop:
    """What both workers are made of."""

    settings: Settings
    kafka: Kafka
    index: Index
    eyes: Eyes
    slot: str
    metrics: WorkerMetrics
    tracing: Tracing | None
    """Where its spans go, if anywhere."""

    @property
    def encoder(self) -> str:
        """The fingerprint of the encoder."""
        return self.eyes.encoder.fingerprint

    @property
    def parts(self) -> Parts:
        """How long the parts of its looks are."""
        return Parts(self.eyes.encoder.object_size, self.eyes.encoder.style_size)


def open_shop(settings: Settings, kafka: Kafka, kind: str, stack: ExitStack) -> Shop:
    """All that a worker of this kind needs, closed with the stack."""
    metrics = WorkerMetrics(kind)
    stack.enter_context(exposed(settings.metrics, metrics.registry))
    spans = stack.enter_context(tracing(settings.traces, f"lookstream-{kind}"))
    name = stack.enter_context(slot(settings.data / "run", kind, settings.worker.slot))
    eyes = _open_eyes(settings, stack)
    index = open_index(settings, eyes.encoder.fingerprint, look_size(eyes.encoder))
    stack.callback(index.close)
    metrics.encoder(eyes.encoder.fingerprint)
    return Shop(settings, kafka, index, eyes, name, metrics, spans)


def confidence_of(shop: Shop, at_once: int) -> Confidence:
    """Confidence in what is found in its index."""
    nulls = NullPictures(file=null_file(shop.settings.cache, shop.encoder))
    return Confidence(shop.index, shop.eyes.look_at, shop.parts, nulls, at_once)


def _open_eyes(settings: Settings, stack: ExitStack) -> Eyes:
    cores = os.cpu_count() or 1
    decoders = stack.enter_context(closing(Decoders(cores)))  # first: they get ready while torch is imported
    encoder = open_encoder(settings.encoder, settings.torch)
    pool = stack.enter_context(ThreadPoolExecutor(cores, thread_name_prefix="eyes"))
    given = settings.images
    limits = Limits(given.max_bytes, given.max_pixels, thumbnail=given.thumbnails)
    return Eyes(encoder, make_colours(), limits, pool, decoders.decode)


def open_index(settings: Settings, fingerprint: str, size: int, patience: float = PATIENCE_SECONDS) -> Index:
    """The index that the settings name, open for vectors of `size`; waits while it is away."""
    until = time.monotonic() + patience
    while True:
        try:
            index = connect(settings)
            index.open(fingerprint, size)
        except Unavailable as away:
            if time.monotonic() > until:
                raise
            structlog.get_logger().warning("waiting for the index", why=str(away))
            time.sleep(AGAIN_SECONDS)
        else:
            return index
