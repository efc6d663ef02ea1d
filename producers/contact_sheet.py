"""Contact sheets: draw a row of cards for each search, with the larger query card to the left of its hits."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, ImageOps

from infra.images.decode import DecodeLimits
from infra.images.decode_pool import DecodePool
from schemas.failures import Rejected
from schemas.results import Hit
from schemas.searches import Crop

SCALE = 2
"""Everything is drawn at twice its size and then reduced, because PIL's round corners are not anti-aliased."""

MARGIN, GAP, PAD = 28, 14, 12
CARD_SIZE = (176, 238)
QUERY_SIZE = (236, 238)
HITS_PER_LINE = 6
LINE_HEIGHT = 19

PAGE, WHITE, EDGE, SHADE = "#eef1f5", "#ffffff", "#dde2ea", "#f6f7f9"
INK, MUTED, ACCENT, FRAME = "#17202e", "#687386", "#2457d6", "#c3cad6"

LIMITS = DecodeLimits(min_side=1)
PixelBox = tuple[int, int, int, int]
Position = tuple[int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class TextStyle:
    """Font size in pixels, and colour."""

    size: int
    colour: str


STRONG, PLAIN, QUIET, SMALL = TextStyle(14, INK), TextStyle(13, INK), TextStyle(13, MUTED), TextStyle(12, MUTED)


@dataclass(frozen=True)
class SheetRow:
    """One search: a caption, the query picture (encoded; None if there is none), and the hits."""

    caption: str
    picture: bytes | None
    hits: Sequence[Hit]
    crop: Crop | None = None
    """The part of the picture that was the query."""


def draw_sheet(rows: Sequence[SheetRow]) -> Image.Image:
    """Draw the sheet as an RGB image, as wide as its longest row; 6 hits per line, the best first."""
    columns = max((min(len(row.hits), HITS_PER_LINE) for row in rows), default=0)
    width = 2 * MARGIN + QUERY_SIZE[0] + max(columns, 1) * (CARD_SIZE[0] + GAP)
    height = 2 * MARGIN - GAP + sum(map(_height, rows))
    with closing(DecodePool(1, eager=False)) as pool:  # the query may be anybody's picture
        page = SheetPage(Image.new("RGB", (width * SCALE, max(height, 1) * SCALE), PAGE), pool)
        top = MARGIN
        for row in rows:
            _draw_row(page, row, top)
            top += _height(row)
    return page.image.reduce(SCALE)


def _height(row: SheetRow) -> int:
    lines = max(1, -(-len(row.hits) // HITS_PER_LINE))
    return lines * (CARD_SIZE[1] + GAP)


def _draw_row(page: "SheetPage", row: SheetRow, top: int) -> None:
    _draw_query(page, row, (MARGIN, top, MARGIN + QUERY_SIZE[0], top + QUERY_SIZE[1]))
    left = MARGIN + QUERY_SIZE[0] + GAP
    if not row.hits:
        page.text((left + PAD, top + QUERY_SIZE[1] // 2 - 8), "nothing found", QUIET, CARD_SIZE[0])
    for rank, hit in enumerate(row.hits):
        x = left + rank % HITS_PER_LINE * (CARD_SIZE[0] + GAP)
        y = top + rank // HITS_PER_LINE * (CARD_SIZE[1] + GAP)
        _draw_hit(page, hit, rank + 1, (x, y, x + CARD_SIZE[0], y + CARD_SIZE[1]))


def _draw_query(page: "SheetPage", row: SheetRow, box: PixelBox) -> None:
    left, top, right, bottom = box
    page.card(box, ACCENT)
    page.picture(row.picture, (left + PAD, top + PAD, right - PAD, bottom - PAD - LINE_HEIGHT - 4), row.crop)
    page.text((left + PAD, bottom - PAD - LINE_HEIGHT + 3), row.caption, STRONG, right - left - 2 * PAD)


def _draw_hit(page: "SheetPage", hit: Hit, rank: int, box: PixelBox) -> None:
    left, top, right, bottom = box
    page.card(box, EDGE)
    page.picture(hit.thumbnail, (left + PAD, top + PAD, right - PAD, bottom - PAD - 3 * LINE_HEIGHT), hit.box)
    y, width = bottom - PAD - 3 * LINE_HEIGHT + 5, right - left - 2 * PAD
    page.text((left + PAD, y), f"{rank}", STRONG, width)
    page.text_right((right - PAD, y), f"{hit.confidence:.0%} · {hit.score:.2f}", QUIET)
    page.text((left + PAD, y + LINE_HEIGHT), hit.title or hit.item_id, PLAIN, width)
    dots = hit.palette[:3]
    page.text(
        (left + PAD, y + 2 * LINE_HEIGHT),
        ", ".join(hit.colours) or hit.category or "",
        SMALL,
        width - 15 * len(dots),
    )
    for index, swatch in enumerate(dots):
        page.dot((right - PAD - 14 * (len(dots) - index) + 3, y + 2 * LINE_HEIGHT + 2), swatch.hex)


class SheetPage:
    """A canvas with coordinates of the finished sheet."""

    def __init__(self, image: Image.Image, pool: DecodePool) -> None:
        self.image, self._pool = image, pool
        self._draw = ImageDraw.Draw(image)

    def card(self, box: PixelBox, edge: str) -> None:
        """Draw a white card with round corners."""
        self._draw.rounded_rectangle(_scaled(box), 10 * SCALE, fill=WHITE, outline=edge, width=SCALE)

    def dot(self, position: Position, colour: str) -> None:
        """Draw a disc of 11 pixels, with a thin outline so that white ones are visible."""
        x, y = position
        self._draw.ellipse(_scaled((x, y, x + 11, y + 11)), fill=colour, outline=FRAME, width=1)

    def picture(self, data: bytes | None, box: PixelBox, crop: Crop | None = None) -> None:
        """Draw an encoded picture centred in the box, with its crop outlined; a grey field if undecodable."""
        left, top, right, bottom = _scaled(box)
        size = (right - left, bottom - top)
        fitted = self._decode(data, size)
        if fitted is None:
            self._draw.rounded_rectangle((left, top, right, bottom), 6 * SCALE, fill=SHADE)
            return
        x, y = left + (size[0] - fitted.width) // 2, top + (size[1] - fitted.height) // 2
        self.image.paste(fitted, (x, y))
        if crop is not None:
            ends = (crop.x, crop.y, crop.x + crop.w, crop.y + crop.h)
            frame = [round(end * side) for end, side in zip(ends, fitted.size * 2, strict=True)]
            outline = (x + frame[0], y + frame[1], x + frame[2] - 1, y + frame[3] - 1)
            self._draw.rectangle(outline, outline=ACCENT, width=2 * SCALE)

    def text(self, position: Position, text: str, style: TextStyle, width: int) -> None:
        """Draw one line of text that starts at `position`, with an ellipsis if it is wider than `width`."""
        font = _font(style)
        self._write(position, _fit(text, font, width * SCALE), style, "la")

    def text_right(self, position: Position, text: str, style: TextStyle) -> None:
        """Draw one line of text that ends at `position`."""
        self._write(position, text, style, "ra")

    def _decode(self, data: bytes | None, size: tuple[int, int]) -> Image.Image | None:
        """The picture, upright and scaled to fit `size`; None if it cannot be decoded."""
        if data is None:
            return None
        try:
            picture = self._pool.decode(data, LIMITS).image
        except Rejected:
            return None
        return ImageOps.contain(picture, size, Image.Resampling.LANCZOS)

    def _write(self, position: Position, text: str, style: TextStyle, anchor: str) -> None:
        x, y = position
        self._draw.text((x * SCALE, y * SCALE), text, fill=style.colour, font=_font(style), anchor=anchor)


def _font(style: TextStyle) -> Font:
    return ImageFont.load_default(style.size * SCALE)


def _fit(text: str, font: Font, width: int) -> str:
    line = " ".join(text.split())
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip() + "…" if line else ""


def _scaled(box: PixelBox) -> PixelBox:
    left, top, right, bottom = box
    return left * SCALE, top * SCALE, right * SCALE, bottom * SCALE
