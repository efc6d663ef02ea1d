"""Picture frames: bars, borders and rounded corners are cut off, and pictures that have none stay as they are."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from consumers.vision.colour import ColourExtractor
from consumers.vision.null_images import null_pictures
from consumers.vision.picture_frames import crop_frames
from tests.consumers.vision.test_colour import PLAIN, product
from tests.consumers.vision.test_perceptual_hash import scene

Put = Callable[[Image.Image], Image.Image]

GROUNDS = ("white", "#e8e4dc", "#888888", "#c8b088", "#1c1c1c")
OBJECTS = ("#cc1122", "#0b8377", "#ffdd11")


def studio(ground: str, colour: str) -> Image.Image:
    """A product of some shape on a ground."""
    image = Image.new("RGB", (400, 520), ground)
    ImageDraw.Draw(image).rounded_rectangle((110, 130, 290, 420), 30, fill=colour)
    ImageDraw.Draw(image).ellipse((150, 60, 250, 180), fill=colour)
    return image


def border(width: int, colour: str) -> Put:
    return lambda image: ImageOps.expand(image, width, colour)


def bars(width: int, height: int, colour: str) -> Put:
    """Bars at the left and right, and at the top and bottom."""
    return lambda image: ImageOps.expand(image, (width, height), colour)


def rounded(share: float, colour: str) -> Put:
    """Corners with a radius that is a share of the shorter side."""

    def put(image: Image.Image) -> Image.Image:
        inside = Image.new("L", image.size)
        corner = (0, 0, image.width - 1, image.height - 1)
        ImageDraw.Draw(inside).rounded_rectangle(corner, round(min(image.size) * share), fill=255)
        return Image.composite(image, Image.new("RGB", image.size, colour), inside)

    return put


def instant_photo(image: Image.Image) -> Image.Image:
    framed = ImageOps.expand(image, (28, 28, 28, 110), "#fbfaf6")
    ImageDraw.Draw(framed).text((60, framed.height - 60), "summer by the sea", fill="#909090")
    return framed


def subtitled(image: Image.Image) -> Image.Image:
    framed = ImageOps.expand(image, (0, 90), "black")
    ImageDraw.Draw(framed).text((130, framed.height - 50), "now at half the price", fill="white")
    return framed


def one_after_another(*frames: Put) -> Put:
    def put(image: Image.Image) -> Image.Image:
        for frame in frames:
            image = frame(image)
        return image

    return put


FRAMES: dict[str, Put] = {
    "black border": border(20, "black"),
    "red border": border(25, "#d01020"),
    "blue border": border(40, "#1133bb"),
    "line of one pixel": border(1, "black"),
    "line of two pixels": border(2, "black"),
    "line of three pixels": border(3, "#333333"),
    "letterbox": bars(0, 90, "black"),
    "thin letterbox": bars(0, 12, "black"),
    "thick letterbox": bars(0, 400, "black"),
    "pillarbox": bars(130, 0, "black"),
    "green pillarbox": bars(150, 0, "#117733"),
    "bars on four sides": bars(60, 140, "black"),
    "rounded corners on black": rounded(0.12, "black"),
    "rounded picture in a border": one_after_another(rounded(0.08, "black"), border(20, "black")),
    "white border in a black one": one_after_another(border(14, "white"), border(9, "black")),
    "three borders": one_after_another(border(6, "black"), border(14, "white"), border(30, "#aa2211")),
    "border in a letterbox": one_after_another(border(12, "#cc8800"), bars(0, 80, "black")),
    "instant photo in a pillarbox": one_after_another(instant_photo, bars(120, 0, "black")),
    "letterbox with subtitles": subtitled,
}
LIGHT_FRAMES: dict[str, Put] = {
    "white border": border(20, "white"),
    "wide white border": border(100, "white"),
    "grey border": border(12, "#d8d8d8"),
    "white letterbox": bars(0, 90, "white"),
    "white pillarbox": bars(130, 0, "white"),
    "rounded corners on white": rounded(0.12, "white"),
    "instant photo": instant_photo,
}
"""On a white ground there is nothing to cut off."""


def as_jpeg(image: Image.Image) -> Image.Image:
    out = BytesIO()
    image.save(out, "JPEG", quality=88)
    return Image.open(out).convert("RGB")


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("kind", FRAMES | LIGHT_FRAMES)
def test_a_framed_product_has_the_colours_of_the_product(kind: str, ground: str, colours: ColourExtractor) -> None:
    for colour in OBJECTS:
        picture = studio(ground, colour)
        plain = colours.extract(as_jpeg(picture))
        framed = colours.extract(as_jpeg((FRAMES | LIGHT_FRAMES)[kind](picture)))
        assert framed.names[0] == plain.names[0], colour
        assert framed.histogram @ plain.histogram > 0.97, colour


@pytest.mark.parametrize("kind", FRAMES | LIGHT_FRAMES)
def test_a_framed_photo_is_cut_out_of_its_frame(kind: str) -> None:
    photo = scene(3, 400)
    if "line of" not in kind:
        inside, _ = crop_frames(as_jpeg((FRAMES | LIGHT_FRAMES)[kind](photo)))
        assert 0.84 * photo.width <= inside.width <= 1.01 * photo.width
        assert 0.84 * photo.height <= inside.height <= 1.01 * photo.height


def book(cover: str, title: str) -> Image.Image:
    """A book on white, with a title on its cover."""
    image = Image.new("RGB", (400, 400), "white")
    ImageDraw.Draw(image).rectangle((90, 30, 310, 370), fill=cover)
    ImageDraw.Draw(image).rectangle((130, 80, 270, 130), fill=title)
    return image


def dark_photo() -> Image.Image:
    """Night, with some lights."""
    levels = np.random.default_rng(1).normal(9, 2, (300, 400, 3))
    levels[120:200, 90:300] += np.linspace(0, 90, 210)[None, :, None]
    levels[140:150, 100:110] = 250
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def beach() -> Image.Image:
    """A white sky, the sea, and white sand."""
    image = Image.new("RGB", (400, 300), "#f6f6f4")
    draw = ImageDraw.Draw(image)
    draw.polygon([(0, 120), (400, 100), (400, 180), (0, 210)], fill="#4a90b0")
    draw.ellipse((180, 130, 230, 220), fill="#cc2233")
    return image


def checked_bag() -> Image.Image:
    """A patterned bag on white, with handles."""
    image = Image.new("RGB", (300, 300), "white")
    draw = ImageDraw.Draw(image)
    draw.arc((100, 40, 200, 160), 180, 360, fill="#553311", width=8)
    draw.rectangle((50, 100, 250, 270), fill="#886644")
    for x in range(50, 250, 20):
        draw.rectangle((x, 100, x + 9, 270), fill="#ccaa77")
    return image


UNFRAMED = {
    **{f"{name} on white": product(code) for name, code in PLAIN.items()},
    **{f"{name} on black": product(code, "black") for name, code in PLAIN.items()},
    **{f"object {colour} on {ground}": studio(ground, colour) for ground in GROUNDS for colour in OBJECTS},
    **{f"one colour {code}": Image.new("RGB", (320, 240), code) for code in PLAIN.values()},
    **{f"scene {seed}": scene(seed) for seed in range(8)},
    **{f"drawing {n}": image for n, image in enumerate(null_pictures(32))},
    "red book": book("#b01020", "#f0d020"),
    "black book": book("#141414", "#f0d020"),
    "white book": book("#eeeeee", "#cc1122"),
    "dark photo": dark_photo(),
    "beach": beach(),
    "checked bag": checked_bag(),
    "rug": Image.new("RGB", (300, 200), "#7a3030"),
    "smallest": Image.new("RGB", (16, 16), "#7a3030"),
}


@pytest.mark.parametrize("kind", UNFRAMED)
def test_a_picture_without_a_frame_stays_as_it_is(kind: str) -> None:
    for image in (UNFRAMED[kind], as_jpeg(UNFRAMED[kind])):
        assert crop_frames(image)[0] is image


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    margins=st.tuples(*[st.integers(0, 60)] * 4),
    seed=st.integers(0, 1000),
)
def test_some_of_any_picture_remains(size: tuple[int, int], margins: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (3, 3, 3), np.uint8)).resize(size)
    framed = ImageOps.expand(coarse, margins, tuple(int(level) for level in rng.integers(0, 256, 3)))
    inside, _ = crop_frames(framed)
    assert 1 <= inside.width <= framed.width
    assert 1 <= inside.height <= framed.height
