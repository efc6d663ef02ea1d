"""Image pipeline: fetches the picture that an image reference names and embeds it as a look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from consumers.embedding.moderation import ALLOW_ALL, ModerationPolicy
from consumers.embedding.region_policy import NO_REGIONS, RegionPolicy
from consumers.vision.embedder import EmbedImages
from infra.array_types import Floats
from schemas.failures import Failure
from schemas.items import ImageRef


class FetchImages(Protocol):
    """Fetches pictures by their references, in waves that fit into memory, each by its index.

    The next wave empties the one before. `fetch_waves` of infra/fetching/fetcher.py implements it.
    """

    def __call__(self, refs: Sequence[ImageRef], /) -> Iterator[dict[int, bytes | Failure]]: ...


class PrefetchImages(Protocol):
    """Fetches pictures ahead of their batch, each by the position of its record; see infra/fetching/prefetch.py."""

    def begin(self, requests: Sequence[tuple[str, ImageRef]], /) -> None: ...
    def fetch_waves(self, requests: Sequence[tuple[str, ImageRef]], /) -> Iterator[dict[int, bytes | Failure]]: ...


@runtime_checkable
class TextEncoder(Protocol):
    """Encoder that reads texts too, as those of CLIP and SigLIP models do (infra/encoder/text_tower.py)."""

    def encode_texts(self, texts: Sequence[str], /) -> Floats:
        """Encode N texts: float32 [N, object_size], rows of unit length.

        Their dot products with the object part of a look say which pictures a text describes better. They have
        another range than those of two pictures.
        """


@dataclass(frozen=True)
class ImagePipeline:
    """Functions that fetch and embed pictures. `encoder` is the fingerprint of the encoder that makes the looks.

    `moderator` is the name of the moderator that labels the pictures; `policy` says which labels block or restrict.
    """

    fetch: FetchImages
    embed: EmbedImages
    encoder: str
    policy: ModerationPolicy = ALLOW_ALL
    moderator: str = ""
    prefetch: PrefetchImages | None = None
    """Replaces `fetch` where pictures can be fetched ahead of their batch."""
    text_encoder: TextEncoder | None = None
    """Encodes texts in the space of the looks; None if the encoder reads pictures alone."""
    regions: RegionPolicy = NO_REGIONS
    """In which items the things in the pictures have looks of their own."""
