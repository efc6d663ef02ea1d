"""What befalls pictures on their way: darkness, JPEG, blur, tilts, crops, screenshots; each by a fixed amount."""

from collections.abc import Callable
from functools import partial
from io import BytesIO

from PIL import Image, ImageEnhance, ImageFilter, ImageOps

Corrupt = Callable[[Image.Image], Image.Image]

FINE, COARSE = 95, 20
"""JPEG qualities: of what is saved again anyway, and of a picture that was sent on too often."""
SIDE = 256
"""Shorter side in pixels to which the blur's sigma refers; it grows with the picture."""
ORIENTATION, LIES_LEFT = 0x0112, 6
"""EXIF tag 274 and its value for "turn by 90 degrees clockwise to see it upright" (CIPA DC-008)."""


def corrupted(data: bytes, corruption: str) -> bytes:
    """A readable picture, corrupted, as JPEG."""
    with Image.open(BytesIO(data)) as opened:
        return CORRUPTIONS[corruption](_flat(ImageOps.exif_transpose(opened)))


def _flat(image: Image.Image) -> Image.Image:
    """RGB, transparent parts white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    seen = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")


def _jpeg(image: Image.Image, quality: int = FINE, exif: Image.Exif | None = None) -> bytes:
    out = BytesIO()
    image.save(out, "JPEG", quality=quality, subsampling=0 if quality == FINE else 2, exif=exif or Image.Exif())
    return out.getvalue()


def _after(corrupt: Corrupt) -> Callable[[Image.Image], bytes]:
    return lambda image: _jpeg(corrupt(image))


def _brightness(factor: float, image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(factor)


def _gamma(power: float, image: Image.Image) -> Image.Image:
    return image.point([round(255 * (value / 255) ** power) for value in range(256)] * 3)


def _blur(sigma: float, image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(sigma * min(image.size) / SIDE))


def _tilt(degrees: float, image: Image.Image) -> Image.Image:
    """Turned about its middle; the corners get the border's mean colour, so that a plain ground stays plain."""
    return image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=_border_colour(image))


def _border_colour(image: Image.Image) -> tuple[int, ...]:
    small = image.resize((16, 16), Image.Resampling.BOX)
    rim = [small.getpixel((x, y)) for x in range(16) for y in range(16) if x in (0, 15) or y in (0, 15)]
    channels = zip(*(pixel for pixel in rim if isinstance(pixel, tuple)), strict=True)
    return tuple(round(sum(channel) / len(channel)) for channel in channels)


def _middle(share: float, image: Image.Image) -> Image.Image:
    """The part in the middle whose sides are `share` of the picture's."""
    rest = (1 - share) / 2
    box = (image.width * rest, image.height * rest, image.width * (1 - rest), image.height * (1 - rest))
    left, top, right, bottom = map(round, box)
    return image.crop((left, top, right, bottom))


def _grey(image: Image.Image) -> Image.Image:
    return ImageOps.grayscale(image).convert("RGB")


def _screenshot(image: Image.Image) -> Image.Image:
    """On a phone's dark page, with a bar above and a taller one below."""
    side, bar = round(image.width * 0.06), round(image.height * 0.14)
    page = Image.new("RGB", (image.width + 2 * side, image.height + 3 * bar), "#16181d")
    page.paste("#2b2f38", (0, 0, page.width, bar // 2))
    page.paste("#f4f5f7", (0, page.height - bar, page.width, page.height))
    page.paste(image, (side, bar))
    return page


def _lying(image: Image.Image) -> bytes:
    """The pixels lie on their side, and EXIF says how to turn them back."""
    exif = Image.Exif()
    exif[ORIENTATION] = LIES_LEFT
    return _jpeg(image.transpose(Image.Transpose.ROTATE_90), exif=exif)


CORRUPTIONS: dict[str, Callable[[Image.Image], bytes]] = {
    "saved again": _jpeg,
    "brightness .4": _after(partial(_brightness, 0.4)),
    "brightness 1.6": _after(partial(_brightness, 1.6)),
    "gamma .5": _after(partial(_gamma, 0.5)),
    "gamma 2": _after(partial(_gamma, 2.0)),
    "JPEG q20": partial(_jpeg, quality=COARSE),
    "blur sigma 3": _after(partial(_blur, 3.0)),
    "rotation 15": _after(partial(_tilt, 15.0)),
    "crop 60 %": _after(partial(_middle, 0.6)),
    "flip": _after(ImageOps.mirror),
    "grey": _after(_grey),
    "screenshot": _after(_screenshot),
    "EXIF turn": _lying,
}
"""Each takes an upright RGB picture and gives a JPEG; the first changes nothing, which shows what saving costs."""
