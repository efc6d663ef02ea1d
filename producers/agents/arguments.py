"""Arguments of the tools: what a language model gives. A model's docstring describes the tool to it."""

from base64 import b64decode
from binascii import Error as NotBase64
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from infra.config.errors import BadInput
from schemas.facets import FACETS, Facet
from schemas.filters import Filters
from schemas.items import MAX_INLINE_BYTES, ImageRef, InlineImage, ItemId, UrlImage
from schemas.ranking import Intent
from schemas.watches import WatchId
from schemas.words import LONGEST_TEXT

WORDS = "Words that describe what to find: 'navy shirt under 30 EUR', 'cheaper', 'without stripes'"


class Arguments(BaseModel):
    """Base of the arguments; unknown ones are refused, so that a model learns of its mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PictureArguments(Arguments):
    """Base of the tools that take a picture."""

    picture_url: str | None = Field(None, description="http(s) address of a picture")
    picture_base64: str | None = Field(None, description="A picture of at most 700 kB, as base64 without a prefix")
    picture_file: str | None = Field(None, description="Path below the folder of pictures, if the server has one")

    def image(self, folder: Path | None) -> ImageRef | None:
        """The picture that is given; raises BadInput, also unless it is one at most."""
        given = [each for each in (self.picture_url, self.picture_base64, self.picture_file) if each is not None]
        if len(given) > 1:
            raise BadInput("give one of `picture_url`, `picture_base64` and `picture_file`")
        if self.picture_url is not None:
            return UrlImage(url=self.picture_url)
        if self.picture_base64 is not None:
            return inline_image(_decode(self.picture_base64))
        return None if self.picture_file is None else inline_image(read_picture(folder, self.picture_file))


class SearchArguments(Arguments):
    """Base of the searches."""

    filters: Filters = Field(default_factory=Filters, description="Conditions of every item; see `count_items`")
    top_k: int = Field(10, ge=1, le=50, description="Most items to return")
    offset: int = Field(0, ge=0, le=900, description="Skip so many of the best items")
    explain: bool = Field(default=False, description="Add the parts of each score")


class PictureSearch(PictureArguments, SearchArguments):
    """Find items that look like a picture, with words beside it if you like."""

    text: str | None = Field(None, min_length=1, max_length=LONGEST_TEXT, description=WORDS)
    intent: Intent = Field("similar", description="exact: the same product. similar: the same kind")
    each_thing: bool = Field(default=False, description="Search by each thing in the picture too")
    strict: bool = Field(default=True, description="false: the nearest items even if none is like the picture")


class WordSearch(SearchArguments):
    """Find items that words describe: categories, colours, brands, price bounds, negations, words of titles."""

    text: str = Field(min_length=1, max_length=LONGEST_TEXT, description=WORDS)


class ItemSearch(SearchArguments):
    """Find items that look like an item of the catalogue, with words beside it if you like ('but in red')."""

    item_id: ItemId = Field(description="Id of an item of the catalogue")
    text: str | None = Field(None, min_length=1, max_length=LONGEST_TEXT, description=WORDS)
    intent: Intent = Field(
        "similar", description="similar: the same kind. style: the same look. colour: its colours"
    )


class Counts(Arguments):
    """Count the items of each category, colour, brand and so on: what there is, and what filters can name."""

    facets: tuple[Facet, ...] = Field(FACETS, min_length=1, description="Fields to count by")
    filters: Filters = Field(default_factory=Filters, description="Conditions of the items that are counted")
    limit: int = Field(30, ge=1, le=200, description="Most values of a field, the most frequent first")


class ContactSheet(PictureArguments):
    """Search by a picture, an item or words, and get one picture of the items with their titles, to look at."""

    item_id: ItemId | None = Field(None, description="Id of an item of the catalogue")
    text: str | None = Field(None, min_length=1, max_length=LONGEST_TEXT, description=WORDS)
    filters: Filters = Field(default_factory=Filters, description="Conditions of every item")
    top_k: int = Field(12, ge=1, le=30, description="Most items to draw")


class WatchList(Arguments):
    """List the standing searches, which report similar items when they are indexed."""


class WatchAddition(PictureArguments):
    """Add a standing search by an item or a picture: similar items that are indexed from now on are reported."""

    watch_id: WatchId
    item_id: ItemId | None = Field(None, description="Id of an item of the catalogue")
    filters: Filters = Field(default_factory=Filters, description="Conditions of every match")
    min_confidence: float = Field(0.5, gt=0, le=1, description="Least confidence of a match")


class WatchRemoval(Arguments):
    """Remove a standing search."""

    watch_id: WatchId


def inline_image(data: bytes) -> InlineImage:
    """A picture of these bytes; raises BadInput if it is empty or too large."""
    if not 0 < len(data) <= MAX_INLINE_BYTES:
        raise BadInput(f"the picture has {len(data):,} bytes, at most {MAX_INLINE_BYTES:,} are taken: shrink it")
    return InlineImage(data=data)


def read_picture(folder: Path | None, name: str) -> bytes:
    """Bytes of a file below the folder, one more than are taken at most; raises BadInput.

    Links that lead out of the folder are not followed.
    """
    if folder is None:
        raise BadInput("this server reads no files: give `picture_url` or `picture_base64`")
    try:
        root = folder.resolve()
        path = (root / name).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            raise BadInput("`picture_file`: there is no such file in the folder of pictures")
        with path.open("rb") as file:
            return file.read(MAX_INLINE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise BadInput(f"`picture_file` cannot be read: {type(error).__name__}") from None


def _decode(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (NotBase64, ValueError):
        raise BadInput("`picture_base64` is not base64: send the bytes of a picture file as base64") from None
