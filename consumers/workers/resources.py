"""What both workers are made of: settings, Kafka, the index, and eyes."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass

import structlog

from consumers.embedding.decode_pool import DecodePool
from consumers.embedding.moderation import moderator_of
from consumers.scoring.calibration import LookParts
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.null_embeddings import NullEmbeddings, null_file
from consumers.vision.colour import make_colours
from consumers.vision.decode import DecodeLimits
from consumers.vision.embedder import ImageEmbedder, look_size
from infra.config.settings import KafkaSettings, Settings
from infra.encoder import open_encoder
from infra.local.instance_slot import slot
from infra.metrics import WorkerMetrics, exposed
from infra.observability.tracing import SpanWriter, tracing
from infra.qdrant.connect import connect
from infra.qdrant.contract import Index
from infra.qdrant.generations import Generation
from infra.retry import Retry
from schemas.failures import Unavailable

PATIENCE = Retry(seconds=30, first=0.2, longest=2)
"""How long a starting worker waits for an index that is away."""


@dataclass(frozen=True)
class WorkerContext:
    """What a worker has, whichever index it works on."""

    settings: Settings
    kafka: KafkaSettings
    slot: str
    metrics: WorkerMetrics
    tracing: SpanWriter | None
    """Where its spans go, if anywhere."""


@dataclass(frozen=True)
class IndexContext(WorkerContext):
    """What both workers are made of: worker, and the index and the encoder of a generation."""

    index: Index
    eyes: ImageEmbedder

    @property
    def encoder(self) -> str:
        """The fingerprint of the encoder."""
        return self.eyes.encoder.fingerprint

    @property
    def parts(self) -> LookParts:
        """How long the parts of its looks are."""
        return LookParts(self.eyes.encoder.object_size, self.eyes.encoder.style_size)


def open_worker_context(settings: Settings, kafka: KafkaSettings, kind: str, stack: ExitStack) -> WorkerContext:
    """What a worker of this kind needs before it has an index, closed with the stack."""
    metrics = WorkerMetrics(kind)
    stack.enter_context(exposed(settings.metrics, metrics.registry))
    spans = stack.enter_context(tracing(settings.traces, f"lookstream-{kind}"))
    name = stack.enter_context(slot(settings.data / "run", kind, settings.worker.slot))
    return WorkerContext(settings, _as_member(kafka, kind, name), name, metrics, spans)


def _as_member(kafka: KafkaSettings, kind: str, slot: str) -> KafkaSettings:
    """How a worker is known to Kafka: by its kind and its slot, which the next one takes over after a crash."""
    name = f"{kind}-{slot}"
    member = kafka.static_member or (name if kafka.membership == "static" else None)
    return kafka.model_copy(update={"client_id": kafka.client_id or f"lookstream-{name}", "static_member": member})


def open_context(worker: WorkerContext, generation: Generation, stack: ExitStack) -> IndexContext:
    """The worker with the index and the encoder of a generation, which are closed with the stack.

    Raises EncoderUnavailable, EncoderDiffers, and Unavailable when the index stays away.
    """
    eyes = open_embedder(worker.settings, generation.encoder, stack)
    fingerprint = eyes.encoder.fingerprint
    index = open_index(worker.settings, fingerprint, look_size(eyes.encoder), generation.number)
    stack.callback(index.close)
    worker.metrics.encoder(fingerprint)
    return IndexContext(**vars(worker), index=index, eyes=eyes)


def confidence_of(context: IndexContext, at_once: int) -> Calibrator:
    """Confidence in what is found in its index."""
    nulls = NullEmbeddings(file=null_file(context.settings.cache, context.encoder))
    return Calibrator(context.index, context.eyes.look_at, context.parts, nulls, at_once)


def open_embedder(settings: Settings, encoder: str, stack: ExitStack) -> ImageEmbedder:
    """Eyes with the encoder of this name; closed with the stack. Raises EncoderUnavailable, SettingsError."""
    cores = os.cpu_count() or 1
    moderator = moderator_of(settings.moderation)
    decoders = stack.enter_context(closing(DecodePool(cores)))  # first: they get ready while torch is imported
    opened = open_encoder(encoder, settings.torch)
    # One more than cores: somebody always waits for a decoder.
    pool = stack.enter_context(ThreadPoolExecutor(cores + 1, thread_name_prefix="eyes"))
    given = settings.images
    limits = DecodeLimits(given.max_bytes, given.max_pixels, thumbnail=given.thumbnails)
    return ImageEmbedder(opened, make_colours(), limits, pool, decoders.decode, moderator)


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
