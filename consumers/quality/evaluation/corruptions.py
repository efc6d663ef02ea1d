"""Corruptions: degrades pictures by fixed changes of brightness, JPEG compression, blur, tilt, crop and others."""

from collections.abc import Callable
from functools import partial
from io import BytesIO

from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from infra.images.decode import DecodeLimits, decode

FULL_SIZE = DecodeLimits(detail=100_000)
Corrupt = Callable[[Image.Image], Image.Image]

FINE, COARSE = 95, 20
"""JPEG qualities: of every saved result, and of a picture that was forwarded too often."""
SIDE = 256
"""Shorter side in pixels for which the blur's sigma is given; sigma scales with the picture."""
ORIENTATION, ROTATE_CLOCKWISE = 0x0112, 6
"""EXIF tag 274 and its value for "turn by 90 degrees clockwise to see it upright" (CIPA DC-008)."""


def corrupt(data: bytes, corruption: str) -> bytes:
    """The corrupted picture as JPEG; `data` must be a readable picture."""
    return CORRUPTIONS[corruption](decode(data, FULL_SIZE).image)


def _jpeg(image: Image.Image, quality: int = FINE, exif: Image.Exif | None = None) -> bytes:
    out = BytesIO()
    image.save(out, "JPEG", quality=quality, subsampling=0 if quality == FINE else 2, exif=exif or Image.Exif())
    return out.getvalue()


def _as_jpeg(corrupt: Corrupt) -> Callable[[Image.Image], bytes]:
    return lambda image: _jpeg(corrupt(image))


def _brightness(factor: float, image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(factor)


def _gamma(power: float, image: Image.Image) -> Image.Image:
    return image.point([round(255 * (value / 255) ** power) for value in range(256)] * 3)


def _blur(sigma: float, image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(sigma * min(image.size) / SIDE))


def _tilt(degrees: float, image: Image.Image) -> Image.Image:
    """Rotate about the centre; the corners get the border's mean colour, so that a plain background stays plain."""
    return image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=_border_colour(image))


def _border_colour(image: Image.Image) -> tuple[int, ...]:
    small = image.resize((16, 16), Image.Resampling.BOX)
    border = [small.getpixel((x, y)) for x in range(16) for y in range(16) if x in (0, 15) or y in (0, 15)]
    channels = zip(*(pixel for pixel in border if isinstance(pixel, tuple)), strict=True)
    return tuple(round(sum(channel) / len(channel)) for channel in channels)


def _crop_centre(share: float, image: Image.Image) -> Image.Image:
    """Crop to the central part, whose sides are `share` of the picture's."""
    margin = (1 - share) / 2
    box = (image.width * margin, image.height * margin, image.width * (1 - margin), image.height * (1 - margin))
    left, top, right, bottom = map(round, box)
    return image.crop((left, top, right, bottom))


def _grey(image: Image.Image) -> Image.Image:
    return ImageOps.grayscale(image).convert("RGB")


def _screenshot(image: Image.Image) -> Image.Image:
    """Place the picture on a phone's dark page, with a bar above and a taller one below."""
    side, bar = round(image.width * 0.06), round(image.height * 0.14)
    page = Image.new("RGB", (image.width + 2 * side, image.height + 3 * bar), "#16181d")
    page.paste("#2b2f38", (0, 0, page.width, bar // 2))
    page.paste("#f4f5f7", (0, page.height - bar, page.width, page.height))
    page.paste(image, (side, bar))
    return page


def _rotate_by_exif(image: Image.Image) -> bytes:
    """Rotate the pixels by 90 degrees, and set the EXIF orientation that undoes it."""
    exif = Image.Exif()
    exif[ORIENTATION] = ROTATE_CLOCKWISE
    return _jpeg(image.transpose(Image.Transpose.ROTATE_90), exif=exif)


CORRUPTIONS: dict[str, Callable[[Image.Image], bytes]] = {
    "saved again": _jpeg,
    "brightness .4": _as_jpeg(partial(_brightness, 0.4)),
    "brightness 1.6": _as_jpeg(partial(_brightness, 1.6)),
    "gamma .5": _as_jpeg(partial(_gamma, 0.5)),
    "gamma 2": _as_jpeg(partial(_gamma, 2.0)),
    "JPEG q20": partial(_jpeg, quality=COARSE),
    "blur sigma 3": _as_jpeg(partial(_blur, 3.0)),
    "rotation 15": _as_jpeg(partial(_tilt, 15.0)),
    "crop 60 %": _as_jpeg(partial(_crop_centre, 0.6)),
    "flip": _as_jpeg(ImageOps.mirror),
    "grey": _as_jpeg(_grey),
    "screenshot": _as_jpeg(_screenshot),
    "EXIF turn": _rotate_by_exif,
}
"""Functions from an upright RGB picture to a JPEG; the first only saves it again, to show the cost of saving."""
