"""Image pipeline: fetches the picture that an image reference names and embeds it as a look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from consumers.embedding.moderation import ALLOW_ALL, ModerationPolicy
from consumers.embedding.region_policy import NO_REGIONS, RegionPolicy
from consumers.vision.embedder import EmbedImages
from schemas.failures import Failure
from schemas.items import ImageRef


class FetchImages(Protocol):
    """Fetches pictures by their references, in waves that fit into memory, each by its index.

    The next wave empties the one before. `fetch_waves` of infra/fetching/fetcher.py implements it.
    """

    def __call__(self, refs: Sequence[ImageRef], /) -> Iterator[dict[int, bytes | Failure]]: ...


class PrefetchImages(Protocol):
    """Fetches pictures ahead of their batch, each by the id of its event; see infra/fetching/prefetch.py."""

    def begin(self, requests: Sequence[tuple[str, ImageRef]], /) -> None: ...
    def fetch_waves(self, requests: Sequence[tuple[str, ImageRef]], /) -> Iterator[dict[int, bytes | Failure]]: ...


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
    regions: RegionPolicy = NO_REGIONS
    """In which items the things in the pictures have looks of their own."""
