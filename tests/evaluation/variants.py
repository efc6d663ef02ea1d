"""Changes of a picture that is used again: resized, recompressed, cropped, framed, marked."""

from collections.abc import Callable, Mapping
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

Variant = Callable[[Image.Image], bytes]

USUAL, POOR = 88, 30
"""JPEG qualities: of a shop's pictures, and of one that was sent on too often."""


def _jpeg(image: Image.Image, quality: int = USUAL) -> bytes:
    out = BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _resized(share: float) -> Variant:
    """Both sides times `share`."""

    def resize(image: Image.Image) -> bytes:
        size = max(16, round(image.width * share)), max(16, round(image.height * share))
        return _jpeg(image.resize(size, Image.Resampling.BICUBIC))

    return resize


def _cropped(share: float) -> Variant:
    """Without `share` of the width on the left and on the right, likewise above and below."""

    def crop(image: Image.Image) -> bytes:
        dx, dy = round(image.width * share), round(image.height * share)
        return _jpeg(image.crop((dx, dy, image.width - dx, image.height - dy)))

    return crop


def _framed(share: float, colour: str) -> Variant:
    """With a plain border whose width is `share` of the longer side."""

    def frame(image: Image.Image) -> bytes:
        width = round(max(image.size) * share)
        framed = Image.new("RGB", (image.width + 2 * width, image.height + 2 * width), colour)
        framed.paste(image, (width, width))
        return _jpeg(framed)

    return frame


def _marked(image: Image.Image) -> bytes:
    """With a shop's name across it, half transparent."""
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    font = ImageFont.load_default(size=max(8, image.width // 7))
    middle = (image.width / 2, image.height / 2)
    ImageDraw.Draw(layer).text(middle, "SHOP.TEST", font=font, fill=(128, 128, 128, 128), anchor="mm")
    return _jpeg(Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB"))


VARIANTS: Mapping[str, Variant] = {
    "resized to half": _resized(0.5),
    "resized to a third": _resized(1 / 3),
    "recompressed": lambda image: _jpeg(image, POOR),
    "cropped by 3 % a side": _cropped(0.03),
    "cropped by 8 % a side": _cropped(0.08),
    "white border of 8 %": _framed(0.08, "white"),
    "black border of 8 %": _framed(0.08, "black"),
    "watermark": _marked,
}


def variants_of(data: bytes) -> dict[str, bytes]:
    """Every variant of an encoded picture, as JPEG."""
    with Image.open(BytesIO(data)) as opened:
        image = opened.convert("RGB")
    return {name: variant(image) for name, variant in VARIANTS.items()}
