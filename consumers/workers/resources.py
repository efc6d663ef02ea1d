"""Resources: open what both kinds of worker share (Kafka settings, metrics, the index, the embedder)."""

import fcntl
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import structlog

from consumers.embedding.detector_plugins import find_plugin
from consumers.embedding.moderation import load_moderator
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.look_parts import LookParts, parts_of
from consumers.scoring.null_embeddings import NullEmbeddings, null_embeddings_path
from consumers.vision.colour import make_colour_extractor
from consumers.vision.embedder import ImageEmbedder, OpenDetector
from consumers.vision.look_vector import look_size
from infra.config.kafka import KafkaSettings
from infra.config.settings import DEFAULT_DETECTOR, Settings, TorchSettings
from infra.cores import available_cores
from infra.encoder import open_encoder
from infra.images.decode import DecodeLimits
from infra.images.decode_pool import DecodePool
from infra.metrics import WorkerMetrics, serve_metrics
from infra.observability.tracing import SpanWriter, tracing
from infra.qdrant.connect import connect
from infra.qdrant.contract import Index
from infra.qdrant.generations import Generation
from infra.retry import Retry
from schemas.failures import Unavailable

INDEX_RETRY = Retry(seconds=30, first_pause=0.2, max_pause=2)
"""How long a starting worker waits for an index that is unavailable."""
MAX_SLOTS = 1_000


@dataclass(frozen=True)
class WorkerContext:
    """Resources of a worker that do not depend on its index."""

    settings: Settings
    kafka: KafkaSettings
    slot: str
    """Name of this instance; after a crash the next worker on the machine takes it over."""
    metrics: WorkerMetrics
    tracing: SpanWriter | None
    """Writes trace spans; None when tracing is off."""


@dataclass(frozen=True)
class IndexContext(WorkerContext):
    """Resources of a worker, with the index and the encoder of a generation."""

    index: Index
    embedder: ImageEmbedder

    @property
    def encoder(self) -> str:
        """The fingerprint of the encoder."""
        return self.embedder.encoder.fingerprint

    @property
    def parts(self) -> LookParts:
        """Dimensions of the object and style parts of a look."""
        return parts_of(self.embedder.encoder)


def open_worker_context(settings: Settings, kafka: KafkaSettings, kind: str, stack: ExitStack) -> WorkerContext:
    """Open the resources of a worker of this kind that need no index; they are closed with the stack."""
    metrics = WorkerMetrics(kind)
    stack.enter_context(serve_metrics(settings.metrics, metrics.registry))
    spans = stack.enter_context(tracing(settings.traces, f"lookstream-{kind}"))
    name = stack.enter_context(_instance_slot(settings.data / "run", kind, settings.worker.slot))
    return WorkerContext(settings, _as_member(kafka, kind, name), name, metrics, spans)


@contextmanager
def _instance_slot(folder: Path, kind: str, name: str | None) -> Iterator[str]:
    """`name` if one is given, else this host's name and the lowest number that no running worker here uses.

    As the name outlives the process, its successor can end a transaction that a killed process left open, and find
    the records that crashed it.
    """
    if name is not None:
        yield name
        return
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(MAX_SLOTS):
        with (folder / f"{kind}-{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield f"{socket.gethostname()[:80]}-{number}"
            return
    raise OSError(
        f"{MAX_SLOTS} workers of kind {kind} run on {folder} already: name another LOOKSTREAM_DATA folder"
    )


def _as_member(kafka: KafkaSettings, kind: str, slot: str) -> KafkaSettings:
    """Set client id and static member id to kind and slot, which the next worker takes over after a crash."""
    name = f"{kind}-{slot}"
    member = kafka.static_member or (name if kafka.membership == "static" else None)
    return kafka.model_copy(update={"client_id": kafka.client_id or f"lookstream-{name}", "static_member": member})


def open_context(worker: WorkerContext, generation: Generation, stack: ExitStack) -> IndexContext:
    """Add the index and the encoder of a generation to the worker's resources; they are closed with the stack.

    Raises EncoderUnavailable, EncoderDiffers, and Unavailable when the index stays unavailable.
    """
    embedder = open_embedder(worker.settings, generation.encoder, stack)
    fingerprint = embedder.encoder.fingerprint
    index = open_index(worker.settings, fingerprint, look_size(embedder.encoder), generation.number)
    stack.callback(index.close)
    worker.metrics.encoder(fingerprint)
    return IndexContext(**vars(worker), index=index, embedder=embedder)


def make_calibrator(context: IndexContext, at_once: int) -> Calibrator:
    """Make the calibrator that turns similarity scores in this index into confidences."""
    nulls = NullEmbeddings(file=null_embeddings_path(context.settings.cache, context.encoder))
    return Calibrator(context.index, context.embedder.embed, context.parts, nulls, at_once)


def open_embedder(settings: Settings, encoder: str, stack: ExitStack) -> ImageEmbedder:
    """Open an embedder with this encoder; closed with the stack. Raises EncoderUnavailable, SettingsError."""
    cores = available_cores()
    moderator = load_moderator(settings.moderation)
    decoders = stack.enter_context(closing(DecodePool(cores)))  # first: the processes start while torch is imported
    encoder_model = open_encoder(encoder, settings.torch)
    # One thread more than cores, as one always waits for a decoder process.
    pool = stack.enter_context(ThreadPoolExecutor(cores + 1, thread_name_prefix="embedder"))
    image_settings = settings.images
    limits = DecodeLimits(image_settings.max_bytes, image_settings.max_pixels, thumbnail=image_settings.thumbnails)
    detector, colours = find_detector(settings.detector, settings.torch), make_colour_extractor()
    return ImageEmbedder(encoder_model, colours, limits, pool, decoders.decode, moderator, detector)


def find_detector(name: str, torch_settings: TorchSettings) -> OpenDetector:
    """The function that opens the detector of this name at its first call; raises SettingsError if none has it."""
    if name != DEFAULT_DETECTOR:
        return find_plugin(name)
    from infra.encoder.region_detector import open_region_detector

    return cache(partial(open_region_detector, torch_settings))


def open_index(settings: Settings, fingerprint: str, size: int, generation: int | None = None) -> Index:
    """Open the index of a generation (None: the serving one) for `size` dimensions; waits while unavailable."""

    def open_once() -> Index:
        with ExitStack() as cleanup:
            index = connect(settings, generation)
            cleanup.callback(index.close)
            index.open(fingerprint, size)
            cleanup.pop_all()
        return index

    def is_unavailable(error: Exception) -> bool:
        if isinstance(error, Unavailable):
            structlog.get_logger().warning("waiting for the index", reason=str(error))
        return isinstance(error, Unavailable)

    return INDEX_RETRY.run(open_once, is_unavailable)
