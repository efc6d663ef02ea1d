"""Contact sheets: the places of cards, and pictures of any kind."""

import io

from PIL import Image

from producers.contact_sheet import CARD_SIZE, HITS_PER_LINE, MARGIN, QUERY_SIZE, SheetRow, draw_sheet
from schemas.results import Hit, Swatch
from schemas.searches import Crop


def png(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (96, 72), colour).save(out, "PNG")
    return out.getvalue()


def hit(rank: int, thumbnail: bytes | None, title: str = "A blue boot of the finest leather that there is") -> Hit:
    return Hit(
        item_id=str(rank),
        tenant="default",
        score=0.9,
        image=0,
        source="catalog",
        revision=1,
        title=title,
        colours=("blue", "white"),
        palette=(
            Swatch(hex="#2040c0", lab=(32.0, 36.0, -70.0), name="blue", share=0.7),
            Swatch(hex="#ffffff", lab=(100.0, 0.0, 0.0), name="white", share=0.3),
        ),
        thumbnail=thumbnail,
    )


def test_the_query_is_at_the_left_of_its_hits() -> None:
    sheet = draw_sheet([SheetRow("query", png("#ff0000"), [hit(1, png("#0000ff"))])])
    middle = MARGIN + CARD_SIZE[1] // 3
    assert sheet.getpixel((MARGIN + QUERY_SIZE[0] // 2, middle)) == (255, 0, 0)
    assert sheet.getpixel((MARGIN + QUERY_SIZE[0] + 14 + CARD_SIZE[0] // 2, middle)) == (0, 0, 255)


def test_a_row_with_many_hits_continues_below() -> None:
    one = draw_sheet([SheetRow("a", None, [hit(n, None) for n in range(HITS_PER_LINE)])])
    two = draw_sheet([SheetRow("a", None, [hit(n, None) for n in range(HITS_PER_LINE + 1)])])
    assert one.width == two.width
    assert two.height > one.height


def test_a_sheet_is_drawn_whatever_it_is_given() -> None:
    crop = Crop(x=0.5, y=0.5, w=0.5, h=0.5)
    rows = [
        SheetRow("no hits", png("#00ff00"), [], crop),
        SheetRow("broken pictures, and a caption that is much too long for its card", b"x", [hit(1, b"y")]),
        SheetRow("", None, [hit(1, None, "\u65e5\u672c\n\u202e")]),
    ]
    assert draw_sheet(rows).height > draw_sheet(rows[:1]).height
    assert draw_sheet([]).width > 0
