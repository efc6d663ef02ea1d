"""Moderator: finds content in pictures that not everybody may see."""

from typing import Protocol

from PIL.Image import Image


class ImageModerator(Protocol):
    """Finds content that not everybody may see; consumers/embedding/moderation.py has an implementation."""

    @property
    def name(self) -> str:
        """Identifies the moderator; empty for none."""

    def labels(self, picture: Image, /) -> tuple[str, ...]:
        """The moderation labels of an upright RGB picture; raises Failure. Must be thread-safe."""


class _NoModerator:
    """Moderator that finds no labels."""

    name = ""

    def labels(self, _picture: Image) -> tuple[str, ...]:
        return ()


NO_MODERATOR: ImageModerator = _NoModerator()
