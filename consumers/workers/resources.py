"""What both workers are made of: settings, Kafka, the index, and eyes."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass

import structlog

from consumers.embedding.decode_pool import Decoders
from consumers.embedding.moderation import moderator_of
from consumers.scoring.calibration import Parts
from consumers.scoring.calibrator import Confidence
from consumers.scoring.null_embeddings import NullPictures, null_file
from consumers.vision.colour import make_colours
from consumers.vision.decode import Limits
from consumers.vision.embedder import Eyes, look_size
from infra.config.settings import Kafka, Settings
from infra.encoder import open_encoder
from infra.local.instance_slot import slot
from infra.metrics import WorkerMetrics, exposed
from infra.observability.tracing import Tracing, tracing
from infra.qdrant.connect import connect
from infra.qdrant.contract import Index
from infra.qdrant.generations import Generation
from infra.retry import Retry
from schemas.failures import Unavailable

PATIENCE = Retry(seconds=30, first=0.2, longest=2)
"""How long a starting worker waits for an index that is away."""


@dataclass(frozen=True)
class Premises:
    """What a worker has, whichever index it works on."""

    settings: Settings
    kafka: Kafka
    slot: str
    metrics: WorkerMetrics
    tracing: Tracing | None
    """Where its spans go, if anywhere."""


@dataclass(frozen=True)
class Shop(Premises):
    """What both workers are made of: premises, and the index and the encoder of a generation."""

    index: Index
    eyes: Eyes

    @property
    def encoder(self) -> str:
        """The fingerprint of the encoder."""
        return self.eyes.encoder.fingerprint

    @property
    def parts(self) -> Parts:
        """How long the parts of its looks are."""
        return Parts(self.eyes.encoder.object_size, self.eyes.encoder.style_size)


def open_premises(settings: Settings, kafka: Kafka, kind: str, stack: ExitStack) -> Premises:
    """What a worker of this kind needs before it has an index, closed with the stack."""
    metrics = WorkerMetrics(kind)
    stack.enter_context(exposed(settings.metrics, metrics.registry))
    spans = stack.enter_context(tracing(settings.traces, f"lookstream-{kind}"))
    name = stack.enter_context(slot(settings.data / "run", kind, settings.worker.slot))
    return Premises(settings, _as_member(kafka, kind, name), name, metrics, spans)


def _as_member(kafka: Kafka, kind: str, slot: str) -> Kafka:
    """How a worker is known to Kafka: by its kind and its slot, which the next one takes over after a crash."""
    name = f"{kind}-{slot}"
    member = kafka.static_member or (name if kafka.membership == "static" else None)
    return kafka.model_copy(update={"client_id": kafka.client_id or f"lookstream-{name}", "static_member": member})


def furnish(premises: Premises, generation: Generation, stack: ExitStack) -> Shop:
    """The premises with the index and the encoder of a generation, which are closed with the stack.

    Raises EncoderUnavailable, EncoderDiffers, and Unavailable when the index stays away.
    """
    eyes = open_eyes(premises.settings, generation.encoder, stack)
    fingerprint = eyes.encoder.fingerprint
    index = open_index(premises.settings, fingerprint, look_size(eyes.encoder), generation.number)
    stack.callback(index.close)
    premises.metrics.encoder(fingerprint)
    return Shop(**vars(premises), index=index, eyes=eyes)


def confidence_of(shop: Shop, at_once: int) -> Confidence:
    """Confidence in what is found in its index."""
    nulls = NullPictures(file=null_file(shop.settings.cache, shop.encoder))
    return Confidence(shop.index, shop.eyes.look_at, shop.parts, nulls, at_once)


def open_eyes(settings: Settings, encoder: str, stack: ExitStack) -> Eyes:
    """Eyes with the encoder of this name; closed with the stack. Raises EncoderUnavailable, SettingsError."""
    cores = os.cpu_count() or 1
    moderator = moderator_of(settings.moderation)
    decoders = stack.enter_context(closing(Decoders(cores)))  # first: they get ready while torch is imported
    opened = open_encoder(encoder, settings.torch)
    # One more than cores: somebody always waits for a decoder.
    pool = stack.enter_context(ThreadPoolExecutor(cores + 1, thread_name_prefix="eyes"))
    given = settings.images
    limits = Limits(given.max_bytes, given.max_pixels, thumbnail=given.thumbnails)
    return Eyes(opened, make_colours(), limits, pool, decoders.decode, moderator)


def open_index(settings: Settings, fingerprint: str, size: int, generation: int | None = None) -> Index:
    """The index of a generation, or that which serves, open for vectors of `size`; waits while it is away."""

    def open_once() -> Index:
        with ExitStack() as unless_opened:
            index = connect(settings, generation)
            unless_opened.callback(index.close)
            index.open(fingerprint, size)
            unless_opened.pop_all()
        return index

    def is_away(error: Exception) -> bool:
        if isinstance(error, Unavailable):
            structlog.get_logger().warning("waiting for the index", why=str(error))
        return isinstance(error, Unavailable)

    return PATIENCE.run(open_once, is_away)
