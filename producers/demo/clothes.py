"""Clothes: draw products that people wear."""

from producers.demo.drawing import CLOTH, DARK, GLAZE, GOLD, LEATHER, METAL, STEEL, WHITE, Form, Pen
from producers.demo.shapes import blob, box, cut, ellipse, join, mirrored, polygon, stroke, within


def t_shirt(pen: Pen) -> None:
    """Short sleeves, round neck, from the front."""
    hem, sleeve = pen.uniform(84, 90), pen.uniform(-3, 3)
    left = [(41, 14), (41, 14), (33, 16), (24, 20), (7, 40 + sleeve), (7, 40 + sleeve), (19, 49 + sleeve)]
    left += [(19, 49 + sleeve), (29, 40), (29, 40), (30, 60), (28, hem), (28, hem), (50, hem + 1.5)]
    shape = blob(mirrored(left))
    pen.part(ellipse(50, 15, 9.5, 4), pen.shade(0.55), CLOTH)
    pen.body(cut(shape, ellipse(50, 12.5, 9.5, 7.5)), CLOTH)
    pen.plain(cut(within(ellipse(50, 12.5, 11.5, 9.8), shape), ellipse(50, 12.5, 9.2, 7.2)), CLOTH, 0.86)
    for flip in (False, True):
        side = [(100 - x if flip else x, y) for x, y in [(29, 41), (31, 30), (34, 17)]]
        cuff = [(100 - x if flip else x, y) for x, y in [(10, 37 + sleeve), (22, 46.5 + sleeve)]]
        pen.seam(side, 0.6, 0.3)
        pen.seam(cuff, 0.5, 0.3)
    pen.seam([(28.5, hem - 3), (50, hem - 1.5), (71.5, hem - 3)], 0.5, 0.3)


def dress(pen: Pen) -> None:
    """Thin straps, a belt, and a wide skirt."""
    hem, waist = pen.uniform(86, 92), pen.uniform(40, 45)
    bodice = blob(mirrored([(36, 8), (36, 8), (35, 22), (36, 32), (40, waist), (40, waist), (50, waist)]))
    neck = blob([(39, 0), (39, 14), (50, 24), (61, 14), (61, 0)])
    skirt_left = [(40, waist), (40, waist), (33, 60), (16, hem - 3), (16, hem - 3), (30, hem + 1), (50, hem + 2)]
    skirt = blob(mirrored(skirt_left))
    pen.body(skirt, Form(round=3.5, bulge=0.9, folds=0.4))
    for x, lean in ((42, -9), (50, 0), (58, 9), (46, -4), (54, 4)):
        pen.seam([(x, waist + 3), (x + lean * 0.8, 66), (x + lean * 1.7, hem - 1)], 1.1, 0.16)
    pen.body(cut(bodice, neck), CLOTH)
    pen.plain(box(39.5, waist - 3, 60.5, waist + 1.5, 1), CLOTH, 0.6)
    pen.part(box(47.5, waist - 2.8, 52.5, waist + 1.3, 0.8), GOLD, METAL)
    pen.seam([(50, 20), (50, waist - 4)], 0.4, 0.3)


def trousers(pen: Pen) -> None:
    """Two legs, a waistband with a button, and pockets."""
    hem = pen.uniform(90, 94)
    spread = pen.uniform(-2, 2)
    left = [(33, 7), (33, 7), (30, 24), (27, 50), (25 - spread, hem), (25 - spread, hem), (42 - spread, hem)]
    left += [(42 - spread, hem), (47, 48), (50, 36), (50, 36)]
    shape = blob(mirrored(left))
    pen.body(shape, Form(round=4.5, bulge=1.1, folds=0.45))
    pen.plain(within(box(30, 6, 70, 12.5, 1), shape), CLOTH, 0.82)
    pen.seam([(50, 12), (50, 35)], 0.6, 0.45)
    pen.seam([(50, 30), (54, 27), (55, 13)], 0.4, 0.3)
    for x in (37, 63):
        pen.flat(box(x - 0.9, 5.5, x + 0.9, 13.5, 0.4), pen.shade(0.6))
    pen.seam([(33, 22), (39, 20), (41, 13)], 0.6, 0.45)
    pen.seam([(67, 22), (61, 20), (59, 13)], 0.6, 0.45)
    pen.part(ellipse(50, 9.3, 1.5, 1.5), GOLD, METAL)
    pen.seam([(36, 30), (35, 60), (34 - spread, hem - 2)], 0.7, 0.14)
    pen.seam([(64, 30), (65, 60), (66 + spread, hem - 2)], 0.7, 0.14)


def sneaker(pen: Pen) -> None:
    """A low running shoe from its side, toe to the right."""
    collar = pen.uniform(28, 33)
    back = [(8, 72), (8, 72), (7, 50), (10, collar), (10, collar), (22, collar + 6), (34, collar + 2)]
    front = [(38, collar - 3), (46, 36), (58, 49), (74, 54), (92, 59), (95, 72), (95, 72)]
    upper = blob([*back, *front])
    sole = blob([(5, 70), (5, 70), (30, 69), (60, 71), (97, 68), (97, 68), (98, 78), (88, 81), (7, 81), (4, 78)])
    pen.part(blob([(30, collar + 3), (34, collar - 8), (43, collar - 7), (50, 42), (40, 44)]), WHITE, CLOTH)
    pen.body(upper, LEATHER)
    toe = within(upper, blob([(74, 52), (74, 52), (76, 64), (84, 74), (99, 74), (99, 52)]))
    pen.plain(toe, LEATHER, 0.72)
    pen.plain(within(upper, blob([(0, 38), (14, 40), (20, 56), (19, 80), (0, 80)])), LEATHER, 0.72)
    for x in (30, 39, 48):
        pen.part(within(ellipse(x, 63 - (x - 30) / 9, 2.6, 3.6), upper), WHITE, LEATHER)
    for x, y in ((43, 36), (48, 41), (53, 45.5), (58, 49.5)):
        pen.shadow(stroke([(x, y), (x + 2, y + 9)], 2.6), upper, 0.6, 0.3)
        pen.part(stroke([(x, y - 1), (x + 1.5, y + 8)], 2.0), WHITE, METAL)
    pen.part(sole, WHITE, Form(round=2.5, bulge=1.1, gloss=0.1))
    pen.plain(within(sole, box(0, 77.5, 100, 82)), METAL, 0.7)
    pen.seam([(5, 72.5), (30, 72), (60, 74), (97, 71)], 0.5, 0.3)


def boot(pen: Pen) -> None:
    """A high boot from its side with a heel, toe to the right."""
    top = pen.uniform(8, 14)
    shaft = [(28, 30), (27, top), (27, top), (54, top - 1), (54, top - 1), (53, 36), (54, 52)]
    foot = [(60, 62), (78, 68), (88, 76), (88, 84), (88, 84), (26, 84), (26, 84), (26, 66), (30, 50)]
    shape = blob([*shaft, *foot])
    sole = polygon([(25, 82), (89, 82), (89.5, 87), (48, 87.5), (45, 87.5), (44, 95), (26, 95)])
    pen.part(sole, DARK, METAL)
    pen.body(shape, LEATHER)
    pen.plain(within(shape, blob([(70, 60), (66, 72), (70, 86), (95, 86), (95, 64)])), LEATHER, 0.78)
    pen.plain(within(shape, box(20, top - 2, 60, top + 6)), LEATHER, 0.72)
    pen.seam([(41, top + 7), (40, 40), (43, 62), (40, 82)], 0.6, 0.4)
    pen.flat(cut(stroke([(32, 60), (44, 62), (56, 58)], 3.4), cut(shape, shape)), pen.shade(0.55))
    pen.part(cut(box(44, 57.5, 50, 64.5, 1), box(45.6, 59.2, 48.4, 62.8, 0.5)), GOLD, METAL)
    pen.seam([(66, 82), (64, 74), (70, 66)], 0.5, 0.35)


def cap(pen: Pen) -> None:
    """A baseball cap, visor to the right."""
    crown = blob(
        [(12, 62), (12, 62), (12, 36), (26, 20), (44, 18), (62, 22), (73, 40), (75, 60), (75, 60), (46, 66)]
    )
    front = [(60, 56), (76, 56), (92, 62), (98, 72), (98, 72), (80, 74), (60, 70)]
    visor = blob([(44, 63), (44, 63), *front, (46, 68)])
    pen.body(crown, Form(round=8, bulge=1.5, folds=0.1))
    pen.seam([(44, 19), (50, 38), (52, 63)], 0.6, 0.4)
    pen.seam([(44, 19), (26, 34), (24, 63)], 0.6, 0.4)
    pen.plain(ellipse(44, 18.4, 3.2, 2), METAL, 0.7)
    for x, y in ((36, 32), (57, 34)):
        pen.flat(ellipse(x, y, 1.1, 1.1), DARK, 0.7)
    pen.shadow(visor, crown, 1.6, 0.45)
    pen.plain(visor, Form(round=3, bulge=1.2), 0.8)
    for lift in (3, 5.6):
        pen.seam([(52, 66 - lift / 3), (70, 61 + lift), (94, 68 + lift / 2)], 0.35, 0.25)
    pen.part(blob([(59, 40), (65, 40), (67, 49), (61, 50)]), WHITE, METAL)


def sunglasses(pen: Pen) -> None:
    """Large lenses in a thick frame, from the front."""
    wide = pen.uniform(0, 3)
    lenses, rims = [], []
    for flip in (False, True):
        lens = [(13, 41), (26, 38), (43, 40), (45, 50), (40, 63), (26, 66 + wide), (15, 60)]
        rim = [(4, 35), (4, 35), (26, 31), (48, 35), (51, 46), (46, 68), (27, 74 + wide), (10, 68)]
        lenses.append(blob([(100 - x if flip else x, y) for x, y in lens]))
        rims.append(blob([(100 - x if flip else x, y) for x, y in rim]))
    for inner, outer in ((5, 1), (95, 99)):
        pen.plain(polygon([(inner, 37), (outer, 34), (outer, 40), (inner, 45)]), METAL, 0.7)
    bridge = stroke([(44, 42), (50, 37), (56, 42)], 6)
    pen.body(cut(join(*rims, bridge), *lenses), Form(round=2.2, bulge=1.2, gloss=0.5))
    for glass in lenses:
        pen.plain(glass, Form(round=8, bulge=0.8, gloss=0.2), 0.5)
    for left in (0, 53):
        glare = polygon([(20 + left, 38), (27 + left, 38), (19 + left, 66), (13 + left, 62)])
        pen.flat(within(glare, join(*lenses)), WHITE, 0.22)
    for hinge in (8.5, 91.5):
        pen.part(ellipse(hinge, 40, 1.3, 1.3), STEEL, METAL)


def watch(pen: Pen) -> None:
    """A wrist watch with a broad strap, from the front."""
    round_case = pen.uniform(20, 22.5)
    strap = blob(mirrored([(38, 3), (38, 3), (36, 18), (34, 34), (34, 66), (36, 82), (38, 97), (38, 97)]))
    pen.body(strap, Form(round=4, bulge=1.1, gloss=0.15))
    for x in (37.5, 62.5):
        pen.stitches([(x, 7), (x, 30)], 9)
        pen.stitches([(x, 70), (x, 93)], 9)
    for y in (78, 83, 88):
        pen.flat(ellipse(50, y, 1.2, 1.2), DARK, 0.8)
    pen.part(box(48 + round_case, 46, 54 + round_case, 54, 1.5), STEEL, METAL)
    pen.shadow(ellipse(51, 52, round_case + 1, round_case + 1), strap, 1.5, 0.5)
    pen.part(ellipse(50, 50, round_case + 1, round_case + 1), STEEL, METAL)
    pen.plain(ellipse(50, 50, round_case - 2, round_case - 2), GLAZE, 0.9)
    pen.part(ellipse(50, 50, round_case - 6, round_case - 6), WHITE, Form(round=1.5, bulge=-0.5))
    for x, y in ((50, 37), (50, 63), (37, 50), (63, 50)):
        pen.flat(box(x - 0.6, y - 0.6, x + 0.6, y + 0.6), DARK)
    pen.flat(stroke([(50, 50), (44, 43)], 1.3), DARK)
    pen.flat(stroke([(50, 50), (58, 41)], 0.9), DARK)
    pen.flat(ellipse(50, 50, 1.3, 1.3), GOLD)


def glove(pen: Pen) -> None:
    """A knitted mitten with a ribbed cuff, thumb to the left."""
    cuff = pen.uniform(70, 74)
    hand = blob([(36, cuff), (36, cuff), (33, 44), (37, 18), (52, 8), (67, 17), (71, 44), (68, cuff), (68, cuff)])
    thumb = blob([(38, 64), (24, 56), (14, 38), (19, 31), (27, 33), (38, 50)])
    pen.body(join(hand, thumb), Form(round=5, bulge=1.2, folds=0.2))
    pen.seam([(37, 62), (34, 54), (36, 46)], 0.8, 0.4)
    pen.plain(box(34, cuff - 1, 70, 93, 2), Form(round=2.5, bulge=1), 0.8)
    for x in range(37, 70, 3):
        pen.seam([(x, cuff + 1), (x, 92)], 0.7, 0.3)
    pen.seam([(34, cuff - 1), (52, cuff), (70, cuff - 1)], 0.7, 0.4)
