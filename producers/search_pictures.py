"""Search pictures: write the sheet of a search, and the picture of its matches, to files.

The picture of matches has the query next to each verified hit, with a line between the keypoints that agree.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from infra.config.errors import BadInput
from infra.config.settings import read_settings
from infra.images.decode import DecodeLimits
from infra.images.decode_pool import DecodePool
from producers.contact_sheet import SheetRow, draw_sheet
from producers.search_output import picture_of
from schemas.failures import Rejected
from schemas.results import Explained, Hit, SearchResult
from schemas.searches import Crop, SearchRequest

SIDE, GAP, MARGIN, CAPTION_HEIGHT = 320, 24, 20, 26
"""Longer side of a picture, and the distances between them, in pixels."""
PAGE, INK, LINE, DOT = "#eef1f5", "#17202e", "#2457d6", "#e0552b"
LIMITS = DecodeLimits(min_side=1)


def write_sheet(file: Path, caption: str, request: SearchRequest, result: SearchResult) -> None:
    """Write the query and its hits as PNG, in a row for the whole and for each thing in it; raises BadInput."""
    picture = picture_of(request, read_settings().images)
    rows = [SheetRow(caption, picture, result.hits, request.crop)]
    rows += [
        SheetRow(f"thing {number}", picture, region.hits, region.box)
        for number, region in enumerate(result.regions, 1)
    ]
    _write_png(draw_sheet(rows), file, "--sheet")


def write_matches(file: Path, request: SearchRequest, result: SearchResult) -> None:
    """Write the query next to its verified hits as PNG; raises BadInput, also if no hit was verified."""
    picture = picture_of(request, read_settings().images)
    if picture is None:
        raise BadInput("--show-matches needs a picture to draw: search by one")
    page = draw_matches(picture, request.crop, result.hits)
    if page is None:
        why = "no hit was verified: `lookstream index status --tenant NAME` tells if the collection verifies hits"
        raise BadInput(f"--show-matches {file} is not written: {why}")
    _write_png(page, file, "--show-matches")


def _write_png(image: Image.Image, file: Path, option: str) -> None:
    try:
        image.save(file, "PNG")
    except OSError as error:
        raise BadInput(f"{option} {file} cannot be written: {error.strerror}") from None


def draw_matches(picture: bytes, crop: Crop | None, hits: Sequence[Hit]) -> Image.Image | None:
    """Return the picture, RGB: a row for each verified hit with a thumbnail; None if there is none.

    `picture` is the encoded query; raises Rejected if it cannot be decoded.
    """
    rows = [(hit, hit.explained) for hit in hits if hit.thumbnail and hit.explained]
    verified = [(hit, explained) for hit, explained in rows if explained.matches is not None]
    if not verified:
        return None
    width, row_height = 2 * MARGIN + 2 * SIDE + GAP, SIDE + CAPTION_HEIGHT + GAP
    page = Image.new("RGB", (width, 2 * MARGIN - GAP + len(verified) * row_height), PAGE)
    with closing(DecodePool(1, eager=False)) as pool:  # the query may be anybody's picture
        query = _contain(pool.decode(picture, LIMITS, crop).image)
        for number, (hit, explained) in enumerate(verified):
            try:
                found = _contain(pool.decode(hit.thumbnail or b"", LIMITS).image)
            except Rejected:
                continue
            _draw_row(page, (query, found), MARGIN + number * row_height, hit, explained)
    return page


def _contain(image: Image.Image) -> Image.Image:
    return ImageOps.contain(image, (SIDE, SIDE), Image.Resampling.LANCZOS)


def _draw_row(
    page: Image.Image, pictures: tuple[Image.Image, Image.Image], top: int, hit: Hit, explained: Explained
) -> None:
    """Draw a caption, and below it the query and a hit with their matches."""
    draw, matches = ImageDraw.Draw(page), explained.matches or ()
    caption = f"{len(matches)} points agree: {hit.title or hit.item_id}"
    draw.text((MARGIN, top), caption[:80], fill=INK, font=ImageFont.load_default(15))
    corners = [(MARGIN + side * (SIDE + GAP), top + CAPTION_HEIGHT) for side in (0, 1)]
    for image, corner in zip(pictures, corners, strict=True):
        page.paste(image, corner)
    for match in matches:
        start, end = (
            (left + share[0] * image.width, upper + share[1] * image.height)
            for (left, upper), image, share in zip(corners, pictures, (match.query, match.hit), strict=True)
        )
        draw.line((*start, *end), fill=LINE, width=1)
        for x, y in (start, end):
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=DOT)
