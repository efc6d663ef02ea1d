"""Sight: how a worker comes from a reference to a picture to its look."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from consumers.embedding.moderation import OPEN, ModerationPolicy
from consumers.vision.embedder import Look
from schemas.failures import Failure
from schemas.items import ImageRef
from schemas.searches import Crop


class FetchImages(Protocol):
    """Gets pictures; infra.fetching.fetcher.Images.fetch_all is one."""

    def __call__(self, refs: Sequence[ImageRef], /) -> Sequence[bytes | Failure]: ...


class PrefetchImages(Protocol):
    """Gets pictures, each by the id of its event, and has them come before; infra/fetching/prefetch.py has one."""

    def begin(self, wanted: Sequence[tuple[str, ImageRef]], /) -> None: ...
    def fetch_all(self, wanted: Sequence[tuple[str, ImageRef]], /) -> Sequence[bytes | Failure]: ...


class EmbedImages(Protocol):
    """Looks at encoded pictures, or the crop of each, all in one batch; Eyes.look_at is one."""

    def __call__(
        self, pictures: Sequence[bytes], crops: Sequence[Crop | None] = (), /
    ) -> Sequence[Look | Failure]: ...


@dataclass(frozen=True)
class ImagePipeline:
    """Fetches pictures and looks at them; `encoder` is the fingerprint of whoever makes the looks.

    `moderator` is who looks for what not everybody shall see, and `policy` says what becomes of that.
    """

    fetch: FetchImages
    look_at: EmbedImages
    encoder: str
    policy: ModerationPolicy = OPEN
    moderator: str = ""
    ahead: PrefetchImages | None = None
    """Fetches instead of `fetch`, where pictures may come before they are asked for."""
