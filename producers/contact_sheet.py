"""Contact sheets: for each search a row of cards, the query on the left and larger, its hits beside it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, ImageOps

from schemas.results import Hit
from schemas.searches import Crop

SCALE = 2
"""Everything is drawn at twice its size and then halved: PIL's round corners are not smooth otherwise."""

MARGIN, GAP, PAD = 28, 14, 12
CARD = (176, 238)
QUERY = (236, 238)
HITS_A_LINE = 6
LINE = 19

PAGE, WHITE, EDGE, SHADE = "#eef1f5", "#ffffff", "#dde2ea", "#f6f7f9"
INK, SOFT, ACCENT, FRAME = "#17202e", "#687386", "#2457d6", "#c3cad6"

Box = tuple[int, int, int, int]
Place = tuple[int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class TextStyle:
    """How text looks: its size in pixels and its colour."""

    size: int
    colour: str


STRONG, PLAIN, QUIET, SMALL = TextStyle(14, INK), TextStyle(13, INK), TextStyle(13, SOFT), TextStyle(12, SOFT)


@dataclass(frozen=True)
class SheetRow:
    """One search: what was asked, its picture (encoded; None when there is none to show), and the hits."""

    caption: str
    picture: bytes | None
    hits: Sequence[Hit]
    crop: Crop | None = None
    """The part of the picture that was searched by."""


def draw_sheet(rows: Sequence[SheetRow]) -> Image.Image:
    """The sheet as an RGB picture, as wide as its longest row needs; 6 hits a line, best first."""
    columns = max((min(len(row.hits), HITS_A_LINE) for row in rows), default=0)
    width = 2 * MARGIN + QUERY[0] + max(columns, 1) * (CARD[0] + GAP)
    height = 2 * MARGIN - GAP + sum(map(_height, rows))
    page = SheetPage(Image.new("RGB", (width * SCALE, max(height, 1) * SCALE), PAGE))
    top = MARGIN
    for row in rows:
        _draw_row(page, row, top)
        top += _height(row)
    return page.image.reduce(SCALE)


def _height(row: SheetRow) -> int:
    lines = max(1, -(-len(row.hits) // HITS_A_LINE))
    return lines * (CARD[1] + GAP)


def _draw_row(page: "SheetPage", row: SheetRow, top: int) -> None:
    _draw_query(page, row, (MARGIN, top, MARGIN + QUERY[0], top + QUERY[1]))
    left = MARGIN + QUERY[0] + GAP
    if not row.hits:
        page.text((left + PAD, top + QUERY[1] // 2 - 8), "nothing found", QUIET, CARD[0])
    for rank, hit in enumerate(row.hits):
        x = left + rank % HITS_A_LINE * (CARD[0] + GAP)
        y = top + rank // HITS_A_LINE * (CARD[1] + GAP)
        _draw_hit(page, hit, rank + 1, (x, y, x + CARD[0], y + CARD[1]))


def _draw_query(page: "SheetPage", row: SheetRow, box: Box) -> None:
    left, top, right, bottom = box
    page.card(box, ACCENT)
    page.picture(row.picture, (left + PAD, top + PAD, right - PAD, bottom - PAD - LINE - 4), row.crop)
    page.text((left + PAD, bottom - PAD - LINE + 3), row.caption, STRONG, right - left - 2 * PAD)


def _draw_hit(page: "SheetPage", hit: Hit, rank: int, box: Box) -> None:
    left, top, right, bottom = box
    page.card(box, EDGE)
    page.picture(hit.thumbnail, (left + PAD, top + PAD, right - PAD, bottom - PAD - 3 * LINE))
    y, width = bottom - PAD - 3 * LINE + 5, right - left - 2 * PAD
    page.text((left + PAD, y), f"{rank}", STRONG, width)
    page.text_ending((right - PAD, y), f"{hit.confidence:.0%} · {hit.score:.2f}", QUIET)
    page.text((left + PAD, y + LINE), hit.title or hit.item_id, PLAIN, width)
    dots = hit.palette[:3]
    page.text(
        (left + PAD, y + 2 * LINE), ", ".join(hit.colours) or hit.category or "", SMALL, width - 15 * len(dots)
    )
    for place, swatch in enumerate(dots):
        page.dot((right - PAD - 14 * (len(dots) - place) + 3, y + 2 * LINE + 2), swatch.hex)


class SheetPage:
    """A picture to draw on in sizes of the finished sheet."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self._draw = ImageDraw.Draw(image)

    def card(self, box: Box, edge: str) -> None:
        """A white card with round corners."""
        self._draw.rounded_rectangle(_scaled(box), 10 * SCALE, fill=WHITE, outline=edge, width=SCALE)

    def dot(self, place: Place, colour: str) -> None:
        """A disc of 11 pixels, with a fine edge so that white ones show."""
        x, y = place
        self._draw.ellipse(_scaled((x, y, x + 11, y + 11)), fill=colour, outline=FRAME, width=1)

    def picture(self, data: bytes | None, box: Box, crop: Crop | None = None) -> None:
        """An encoded picture, whole and in the middle of the box, its crop framed; else a grey field."""
        left, top, right, bottom = _scaled(box)
        size = (right - left, bottom - top)
        shown = _open(data, size)
        if shown is None:
            self._draw.rounded_rectangle((left, top, right, bottom), 6 * SCALE, fill=SHADE)
            return
        x, y = left + (size[0] - shown.width) // 2, top + (size[1] - shown.height) // 2
        self.image.paste(shown, (x, y))
        if crop is not None:
            ends = (crop.x, crop.y, crop.x + crop.w, crop.y + crop.h)
            frame = [round(end * side) for end, side in zip(ends, shown.size * 2, strict=True)]
            place = (x + frame[0], y + frame[1], x + frame[2] - 1, y + frame[3] - 1)
            self._draw.rectangle(place, outline=ACCENT, width=2 * SCALE)

    def text(self, place: Place, text: str, style: TextStyle, width: int) -> None:
        """One line of text from `place` on, cut with dots where it is wider than `width`."""
        font = _font(style)
        self._write(place, _fit(text, font, width * SCALE), style, "la")

    def text_ending(self, place: Place, text: str, style: TextStyle) -> None:
        """One line of text that ends at `place`."""
        self._write(place, text, style, "ra")

    def _write(self, place: Place, text: str, style: TextStyle, anchor: str) -> None:
        x, y = place
        self._draw.text((x * SCALE, y * SCALE), text, fill=style.colour, font=_font(style), anchor=anchor)


def _font(style: TextStyle) -> Font:
    return ImageFont.load_default(style.size * SCALE)


def _open(data: bytes | None, size: tuple[int, int]) -> Image.Image | None:
    """The picture upright and as large as fits `size`; None when it cannot be read."""
    if data is None:
        return None
    try:
        picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    fitted = ImageOps.contain(picture, size, Image.Resampling.LANCZOS)
    return Image.alpha_composite(Image.new("RGBA", fitted.size, WHITE), fitted).convert("RGB")


def _fit(text: str, font: Font, width: int) -> str:
    line = " ".join(text.split())
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip() + "…" if line else ""


def _scaled(box: Box) -> Box:
    left, top, right, bottom = box
    return left * SCALE, top * SCALE, right * SCALE, bottom * SCALE
