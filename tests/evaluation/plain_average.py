"""The plain average: what the network of an encoder finds without anything that was added to it.

The features of the whole picture are the mean of each network's last map over all places. Pictures are compared by
the cosine of these features alone: no second view, no regions, no roots, no whitening, no colours, no metric.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from PIL.Image import Image

from consumers.quality.evaluation.ground_truth import GroundTruth
from consumers.quality.evaluation.run import EvaluationSetup
from consumers.quality.evaluation.setup import SetupOptions, open_in_process
from consumers.quality.evaluation.system_under_test import SearchQuestion, catalogue_id, index_rows, search_all
from consumers.vision.contracts import Encoder, EncoderInput
from infra.array_types import Box, Floats, Pixels
from infra.config.settings import Settings
from infra.encoder import open_encoder
from infra.encoder.backbone import l2_normalise
from infra.encoder.lite import Features, channel_moments
from infra.encoder.projection import NetworkEncoder, plain_projection
from schemas.ranking import Weights
from schemas.results import SearchResult

OBJECT_ALONE = Weights(object=1)


@dataclass(frozen=True)
class WholePicture:
    """An encoder without the second view of photos."""

    encoder: Encoder

    @property
    def fingerprint(self) -> str:
        return f"{self.encoder.fingerprint} whole"

    @property
    def object_size(self) -> int:
        return self.encoder.object_size

    @property
    def style_size(self) -> int:
        return self.encoder.style_size

    @property
    def prepare(self) -> Callable[[Image, Box], Pixels]:
        return self.encoder.prepare

    @property
    def prepare_region(self) -> Callable[[Image, Box], Pixels]:
        return self.encoder.prepare_region

    def run(self, batch: Sequence[EncoderInput]) -> Floats:
        return self.encoder.run([EncoderInput(given.views[:1], given.studio) for given in batch])


@dataclass(frozen=True)
class PlainFeatures:
    """The features of networks: the unit mean of each last map over all places; the style features are as ever."""

    features: Features

    def __call__(self, views: Pixels) -> Floats:
        maps = [network(views.astype(np.uint8)) for network in self.features.networks(views.shape[1])]
        means = [l2_normalise(output.last.mean((2, 3))) for output in maps]
        return np.concatenate([*means, channel_moments(maps[-1].middle)], axis=1)


def open_plain(settings: Settings, name: str) -> Encoder:
    """The encoder called `name`, reduced to the plain average of its network.

    For an encoder of another kind, which is no default one, only the second view is taken away.
    """
    encoder = open_encoder(name, settings.torch)
    network = encoder.backbone.network if isinstance(encoder, NetworkEncoder) else None
    if isinstance(encoder, NetworkEncoder) and isinstance(network, Features):
        backbone = encoder.backbone
        plain = replace(backbone, digest=f"{backbone.digest} plain average", network=PlainFeatures(network))
        encoder = NetworkEncoder("plain", plain, plain_projection(plain))
    return WholePicture(encoder)


@contextmanager
def open_with_catalogue(
    settings: Settings, encoder: Encoder, options: SetupOptions, truth: GroundTruth
) -> Iterator[EvaluationSetup]:
    """A system in this process that has indexed the catalogue with this encoder."""
    with open_in_process(settings, encoder, options) as setup:
        rows = [(catalogue_id(n), row) for n, row in enumerate(truth.catalogue)]
        index_rows(setup.system, rows, setup.track, len(rows))
        yield setup


def search_plainly(setup: EvaluationSetup, questions: Sequence[SearchQuestion]) -> list[SearchResult]:
    """The results of the questions, by the object part alone."""
    plain = [replace(question, weights=OBJECT_ALONE) for question in questions]
    return search_all(setup.system, plain, setup.track, "searching with the plain average")
