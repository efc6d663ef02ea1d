"""Household: draw bags and products for the home."""

from producers.demo.drawing import CUSHION, DARK, GLAZE, GOLD, LEATHER, METAL, STEEL, TIMBER, WHITE, WOOD, Form, Pen
from producers.demo.shapes import blob, box, cut, ellipse, join, mirrored, polygon, stroke, within


def handbag(pen: Pen) -> None:
    """A stiff bag with one arched handle and a flap."""
    high, drop = pen.uniform(36, 41), pen.uniform(58, 64)
    shape = blob(mirrored([(20, high), (20, high), (16, 60), (11, 84), (13, 89), (13, 89), (50, 90)]))
    flap = blob(mirrored([(19, high), (19, high), (16, 52), (24, drop), (50, drop + 6)]))
    handle = [(30, high + 3), (30, 20), (40, 9), (60, 9), (70, 20), (70, high + 3)]
    pen.plain(stroke(handle, 3.6), LEATHER, 0.75)
    pen.body(shape, LEATHER)
    pen.shadow(flap, shape, 1.6, 0.5)
    pen.body(flap, LEATHER, 0.93)
    for x in (30, 70):
        pen.part(cut(ellipse(x, high + 3, 3.4, 3.4), ellipse(x, high + 3, 1.7, 1.7)), GOLD, METAL)
    pen.part(box(46, drop, 54, drop + 9, 1.5), GOLD, METAL)
    pen.flat(ellipse(50, drop + 5, 1.2, 1.8), DARK, 0.8)
    pen.stitches([(15, 86.5), (85, 86.5)], 30)


def backpack(pen: Pen) -> None:
    """A rounded pack with a front pocket and a loop on top."""
    pocket = pen.uniform(54, 58)
    shape = blob(mirrored([(42, 9), (30, 12), (22, 26), (20, 50), (18, 78), (20, 92), (34, 94), (50, 94)]))
    for x in (14, 86):
        pen.plain(stroke([(50 + (x - 50) * 0.75, 28), (x, 48), (50 + (x - 50) * 0.82, 84)], 4.5), CUSHION, 0.6)
    pen.part(cut(ellipse(50, 10, 8, 7), ellipse(50, 10, 5, 4.4)), pen.shade(0.55), METAL)
    pen.body(shape, Form(round=6, bulge=1.3, folds=0.25))
    pen.seam([(24, 46), (27, 26), (50, 17), (73, 26), (76, 46)], 1.1, 0.6)
    front = box(25, pocket, 75, 90, 8)
    pen.shadow(front, shape, 1.8, 0.45)
    pen.body(front, Form(round=5, bulge=1.3, folds=0.15), 0.94)
    pen.seam([(28, pocket + 7), (50, pocket + 5.5), (72, pocket + 7)], 1.0, 0.65)
    pen.part(box(66, pocket + 6, 68.6, pocket + 14, 1), STEEL, METAL)
    pen.part(box(40, 29, 60, 41, 2), pen.shade(0.5), LEATHER)
    pen.stitches([(42, 31), (58, 31)], 8)
    pen.stitches([(42, 39), (58, 39)], 8)


def mug(pen: Pen) -> None:
    """A straight mug with a handle on the right, half full."""
    wide = pen.uniform(-2, 2)
    left, right = 18 - wide, 66 + wide
    middle, half = (left + right) / 2, (right - left) / 2
    side = [(right - 2, 34), (right + 24, 30), (right + 24, 70), (right - 2, 72)]
    pen.plain(stroke(side, 7), Form(round=2.6, bulge=1.3, gloss=0.5), 0.9)
    body = join(box(left, 24, right, 76), ellipse(middle, 76, half, 9), ellipse(middle, 24, half, 8))
    pen.body(body, Form(round=11, bulge=1.5, gloss=0.5))
    pen.part(ellipse(middle, 24, half, 8), WHITE, METAL)
    pen.part(ellipse(middle, 24.4, half - 2.2, 6.4), pen.shade(0.6), Form(round=5, bulge=-1.2))
    pen.flat(within(ellipse(middle, 29, half - 4, 6), ellipse(middle, 24.4, half - 2.2, 6.4)), (74, 44, 26))
    pen.flat(stroke([(left + 6, 38), (left + 6, 70)], 2.4), WHITE, 0.4)


def teapot(pen: Pen) -> None:
    """A round pot: spout to the left, handle to the right, a lid with a knob."""
    round_body = pen.uniform(25, 28)
    spout = blob([(32, 68), (18, 58), (14, 42), (6, 34), (6, 34), (13, 31), (13, 31), (24, 40), (30, 50), (40, 52)])
    handle = stroke([(70, 42), (92, 34), (100, 56), (84, 70), (70, 70)], 5.5)
    pen.plain(handle, Form(round=2.2, bulge=1.3, gloss=0.5), 0.9)
    pen.plain(spout, Form(round=4, bulge=1.4, gloss=0.5))
    pen.plain(blob([(32, 84), (30, 90), (68, 90), (66, 84)]), GLAZE, 0.7)
    pen.body(ellipse(49, 60, round_body + 3, round_body), GLAZE)
    pen.seam([(30, 40), (49, 45), (68, 40)], 1.0, 0.5)
    pen.plain(blob([(30, 40), (34, 30), (49, 27), (64, 30), (68, 40), (49, 44)]), GLAZE, 0.92)
    pen.part(ellipse(49, 24.5, 4.6, 4.2), GOLD, Form(round=3, bulge=1.5, gloss=0.8))


def chair(pen: Pen) -> None:
    """A dining chair in three-quarter view: upholstered back and seat, wooden legs."""
    top = pen.uniform(7, 12)
    for foot in ([(40, 58), (37, 90)], [(78, 58), (80, 86)]):
        pen.part(stroke(foot, 3.4), (128, 90, 58), TIMBER)
    pen.part(join(stroke([(30, 14), (26, 60)], 3.6), stroke([(68, 12), (70, 60)], 3.6)), WOOD, TIMBER)
    back = blob([(27, top), (27, top), (48, top - 3), (71, top), (71, top), (72, 26), (69, 44), (48, 46), (27, 44)])
    pen.body(back, CUSHION)
    for x, y in ((38, 18), (59, 18), (38, 34), (59, 34)):
        pen.flat(ellipse(x, y, 1.2, 1.2), pen.shade(0.5), 0.9)
    for foot in ([(25, 62), (20, 96)], [(68, 66), (72, 96)]):
        pen.part(stroke(foot, 4.2), WOOD, TIMBER)
    pen.part(stroke([(23, 82), (71, 82)], 1.8), WOOD, TIMBER)
    seat = blob([(26, 52), (26, 52), (50, 50), (76, 53), (76, 53), (82, 62), (72, 70), (22, 68), (17, 62)])
    pen.shadow(seat, back, 1.5, 0.3)
    pen.body(seat, CUSHION, 0.96)
    pen.seam([(18, 64), (40, 67), (72, 68), (81, 62)], 0.7, 0.4)


def lamp(pen: Pen) -> None:
    """A table lamp: a lit shade on a slim stand."""
    flare = pen.uniform(-3, 3)
    shade = join(
        polygon([(34, 10), (66, 10), (82 + flare, 50), (18 - flare, 50)]),
        ellipse(50, 10, 16, 2.4),
        ellipse(50, 50, 32 + flare, 4.5),
    )
    pen.part(box(48.4, 48, 51.6, 86, 1), GOLD, METAL)
    pen.part(ellipse(50, 66, 4.5, 6), GOLD, Form(round=3, bulge=1.4, gloss=0.8))
    pen.plain(join(ellipse(50, 90, 20, 4.5), blob([(34, 89), (47, 80), (53, 80), (66, 89)])), GLAZE, 0.75)
    pen.part(stroke([(60, 50), (60, 63)], 0.5), GOLD, METAL)
    pen.part(ellipse(60, 64.5, 1.2, 1.2), GOLD, METAL)
    pen.body(shade, Form(round=10, bulge=1.0))
    pen.plain(cut(shade, box(0, 0, 100, 47.5), ellipse(50, 45.5, 33 + flare, 5)), METAL, 0.7)
    pen.seam([(34, 11), (50, 13.5), (66, 11)], 1.0, 0.3)


def sofa(pen: Pen) -> None:
    """A sofa with two seats, rounded arms and short legs."""
    top = pen.uniform(24, 29)
    for x in (14, 83):
        pen.part(polygon([(x, 76), (x + 4, 76), (x + 3, 86), (x + 1, 86)]), WOOD, TIMBER)
    pen.body(box(10, top, 90, 70, 8), CUSHION, 0.92)
    pen.seam([(50, top + 2), (50, 54)], 0.8, 0.45)
    for x in (29, 71):
        pen.flat(ellipse(x, top + 12, 1, 1), pen.shade(0.5), 0.8)
    pen.plain(box(12, 60, 88, 79, 2), CUSHION, 0.72)
    for left, right in ((16, 50), (50, 84)):
        seat = box(left, 52, right, 66, 4)
        pen.shadow(seat, box(10, top, 90, 70, 8), 1.6, 0.4)
        pen.body(seat, CUSHION)
    for left, right in ((4, 18), (82, 96)):
        pen.body(box(left, 42, right, 80, 6.5), CUSHION, 0.96)
        pen.seam([(left + 3, 52), (left + 7, 47), (right - 3, 52)], 0.5, 0.25)


def bottle(pen: Pen) -> None:
    """A sports bottle with a steel cap and a loop."""
    wide = pen.uniform(-1.5, 1.5)
    left = [(44, 20), (44, 20), (43, 26), (35 - wide, 34), (34 - wide, 44), (34 - wide, 90), (38, 95), (50, 95.5)]
    pen.part(cut(ellipse(50, 8, 7, 5), ellipse(50, 8, 4.4, 3)), DARK, METAL)
    pen.body(blob(mirrored(left)), Form(round=7, bulge=1.5, gloss=0.55))
    pen.part(box(42.5, 10, 57.5, 22, 2), STEEL, Form(round=3.5, bulge=1.5, gloss=0.6))
    for x in range(44, 58, 2):
        pen.seam([(x, 13), (x, 21)], 0.4, 0.3)
    pen.part(box(33.5 - wide, 86, 66.5 + wide, 91, 0.5), STEEL, Form(round=5, bulge=1.5, gloss=0.5))
    pen.flat(stroke([(39, 42), (39, 82)], 2), WHITE, 0.4)


def umbrella(pen: Pen) -> None:
    """An open umbrella from the side, with a curved handle."""
    rise = pen.uniform(12, 18)
    dome = [(5, 54), (5, 54), (10, 26), (34, rise), (50, rise - 1)]
    canopy = cut(blob(mirrored(dome)), *(ellipse(x, 57.5, 8.6, 7) for x in (14, 32, 50, 68, 86)))
    pen.part(stroke([(50, 8), (50, 86), (50, 98), (62, 98), (61, 86)], 2.0), (96, 66, 44), METAL)
    pen.body(canopy, Form(round=7, bulge=1.4, folds=0.1))
    for x, top in ((23, 30), (41, 18), (59, 18), (77, 30)):
        pen.seam([(50, rise), ((50 + x) / 2 + (x - 50) * 0.2, top), (x, 52)], 0.7, 0.4)
    pen.part(stroke([(50, 8), (50, rise)], 1.6), STEEL, METAL)
