"""Are colours named alike in every colour space? `python -m tests.evaluation.colour_profiles` prints the table.

28 products are drawn in sRGB, converted into six spaces by littlecms at 8 bits, and saved with the profile of the
space. Each file is then opened, converted to sRGB and named; the name must be that of the sRGB picture.
"""

from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageCms, ImageDraw
from rich.console import Console
from rich.table import Table

from consumers.vision.colour import ColourExtractor, make_colour_extractor
from infra.images.colour_profile import profile_of, to_srgb
from schemas.filters import ColourName
from tests.infra.images.icc_profiles import ink_profile, rgb_spaces

PRODUCT_COLOURS: dict[str, str] = {
    "black": "#16161a", "charcoal": "#3a3b3e", "grey": "#8c8d90", "silver": "#b9bbbd", "white": "#fafafa",
    "cream": "#f4e9d6", "beige": "#d8c3a5", "camel": "#c19a6b", "brown": "#6b4226", "chocolate": "#4a2c1c",
    "red": "#c41e2a", "burgundy": "#701c28", "coral": "#ff7f50", "rust": "#b3502a", "orange": "#f08020",
    "mustard": "#d0a02c", "yellow": "#f4d52c", "olive": "#6f6f35", "green": "#2e8b47", "mint": "#a6d9bd",
    "teal": "#0f8080", "turquoise": "#40c4bd", "sky blue": "#8cbfe4", "blue": "#2f62b5", "navy": "#1b2448",
    "purple": "#6c3a91", "lilac": "#bca3d4", "pink": "#f09fbb",
}  # fmt: skip
"""What shops call their colours."""

SRGB, PRESS = "sRGB", "SWOP"
RGB_FORMATS, PRESS_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP"), ("JPEG", "TIFF")
QUALITY = 92


@dataclass(frozen=True)
class NamedColours:
    """Names of a picture in sRGB, from each format of a space, and from its pixels without the profile."""

    expected: tuple[ColourName, ...]
    found: dict[str, tuple[ColourName, ...]]
    without_profile: tuple[ColourName, ...]

    @property
    def is_same(self) -> bool:
        return set(self.found.values()) == {self.expected}


def product(colour: str) -> Image.Image:
    """A product of one colour on white."""
    image = Image.new("RGB", (180, 240), "white")
    ImageDraw.Draw(image).rounded_rectangle((50, 45, 130, 195), 15, fill=colour)
    return image


def profiles() -> dict[str, bytes]:
    """The six spaces."""
    return rgb_spaces() | {PRESS: ink_profile()}


def save(image: Image.Image, profile: bytes, kind: str) -> bytes:
    """An sRGB picture's file in the space of a profile."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    space = ImageCms.ImageCmsProfile(BytesIO(profile))
    mode = "CMYK" if profile[16:20] == b"CMYK" else "RGB"
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    converted = ImageCms.ImageCmsTransform(srgb, space, "RGB", mode, intent, flags=flags).apply(image)
    out = BytesIO()
    converted.save(out, kind, icc_profile=profile, quality=QUALITY)
    return out.getvalue()


def load(data: bytes) -> Image.Image:
    """The sRGB picture of a file."""
    image = Image.open(BytesIO(data))
    return to_srgb(image, profile_of(image, data)).convert("RGB")


def name_colours(profile: bytes, colour: str, extractor: ColourExtractor) -> NamedColours:
    """Name a product in sRGB, and in each format of a space."""
    image = product(colour)
    kinds = PRESS_FORMATS if profile[16:20] == b"CMYK" else RGB_FORMATS
    files = {kind: save(image, profile, kind) for kind in kinds}
    found = {kind: extractor.extract(load(data)).names for kind, data in files.items()}
    pixels = Image.open(BytesIO(files["TIFF"])).convert("RGB")
    return NamedColours(extractor.extract(image).names, found, extractor.extract(pixels).names)


def main() -> None:
    """Print the names of all colours in all spaces, and how many are those of sRGB."""
    extractor = make_colour_extractor()
    results = {
        space: [name_colours(profile, colour, extractor) for colour in PRODUCT_COLOURS.values()]
        for space, profile in profiles().items()
    }
    table = Table("colour", SRGB, *results)
    for n, shop_name in enumerate(PRODUCT_COLOURS):
        rows = [names[n] for names in results.values()]
        cells = ["same" if row.is_same else str(row.found) for row in rows]
        table.add_row(shop_name, ", ".join(rows[0].expected), *cells)
    same = [sum(row.is_same for row in rows) for rows in results.values()]
    before = [sum(row.without_profile == row.expected for row in rows) for rows in results.values()]
    table.add_row("as in sRGB", "", *(f"{count} of {len(PRODUCT_COLOURS)}" for count in same))
    table.add_row("without profile", "", *(f"{count} of {len(PRODUCT_COLOURS)}" for count in before))
    Console().print(table)


if __name__ == "__main__":
    main()
