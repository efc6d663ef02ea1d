"""Demo catalogue: draw products, casual photos and social posts, and write them as files."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from producers.demo.backdrops import Scenery, make_scenery
from producers.demo.drawing import WHITE, Colour, Finish, Pen
from producers.demo.kinds import COLOURS, KINDS, ProductKind
from producers.demo.patterns import PATTERNS, Pattern
from producers.demo.photo import Shot, casual_photo, street_photo, studio_shot
from schemas.filters import ColourName

PRODUCTS_FILE, POSTS_FILE = "products.csv", "posts.jsonl"
IMAGES, PHOTOS, POSTS = "images", "photos", "posts"
STREET = "street.jpg"
STREET_KINDS = ("backpack", "chair", "umbrella")
"""Kinds of the things in the photo of the street, from left to right: the first product of each."""
MAX_PRODUCTS = len(KINDS) * len(COLOURS) * len(PATTERNS)
PRODUCTS_PER_POST = 8
STUDIO_QUALITY = 88

BRANDS = ("Norvelle", "Brindlewood", "Quillow", "Oskander", "Pelindra", "Varrowby", "Tamsett", "Ilvermoor")
CREATORS = ("mara_lind", "jonas.k", "tea_and_oak", "weekend_wren", "bo_in_town", "sunny_attic")
ADJECTIVES: dict[Pattern, str] = {
    "plain": "Plain",
    "stripes": "Striped",
    "dots": "Dotted",
    "checks": "Checked",
    "chevrons": "Chevron",
}
REMARKS = ("My new {}!", "Found this {} at the market.", "Monday needs a {}.", "Can't stop looking at this {}.")
COLUMNS = ("id", "title", "image_link", "price", "availability", "product_type", "brand", "color", "link")
FIRST_POST = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)

ProgressCallback = Callable[[], None]


@dataclass(frozen=True)
class DemoProduct:
    """Ground truth of a drawn product; `image` and `photo` are paths relative to the catalogue's folder."""

    id: str
    kind: str
    colour: ColourName
    pattern: Pattern
    image: str
    photo: str


@dataclass(frozen=True)
class DemoPost:
    """A social post that shows one of the products; its id is a URL, as ActivityStreams requires."""

    id: str
    creator: str
    product: DemoProduct
    image: str


@dataclass(frozen=True)
class Catalogue:
    """A drawn catalogue: its folder, and the ground truth of its products and posts."""

    folder: Path
    products: tuple[DemoProduct, ...]
    posts: tuple[DemoPost, ...]

    @property
    def products_file(self) -> Path:
        """CSV file of the products, with the columns of the Google Merchant product data specification."""
        return self.folder / PRODUCTS_FILE

    @property
    def posts_file(self) -> Path:
        """JSON Lines file of the posts, one ActivityStreams 2.0 activity for each line."""
        return self.folder / POSTS_FILE

    @property
    def street_photo(self) -> Path:
        """Photo of a street with a product of each of STREET_KINDS, if the catalogue has them."""
        return self.folder / STREET

    @property
    def street_products(self) -> tuple[DemoProduct, ...]:
        """The products in the photo of the street, from left to right."""
        firsts = {product.kind: product for product in reversed(self.products)}
        return tuple(firsts[kind] for kind in STREET_KINDS if kind in firsts)


def draw_catalogue(folder: Path, products: int, seed: int, drawn: ProgressCallback = lambda: None) -> Catalogue:
    """Draw this many products and write their files into `folder`; the same seed gives the same files.

    `drawn` is called after each product. Raises ValueError unless 1 <= products <= MAX_PRODUCTS.
    """
    if not 1 <= products <= MAX_PRODUCTS:
        raise ValueError(f"the demo draws 1 to {MAX_PRODUCTS} products, not {products}")
    for name in (IMAGES, PHOTOS, POSTS):
        (folder / name).mkdir(parents=True, exist_ok=True)
    scenery = make_scenery(np.random.default_rng(seed))
    drawings = [_describe(number) for number in range(products)]
    posts: list[DemoPost] = []
    for number, (kind, product) in enumerate(drawings):
        rng = np.random.default_rng([seed, number])
        cutout = _draw(kind, product, rng)
        studio_shot(cutout, rng).save(folder / product.image, quality=STUDIO_QUALITY)
        _save(casual_photo(cutout, kind.place, scenery, rng), folder / product.photo, rng)
        if number % PRODUCTS_PER_POST == 0:
            posts.append(_post(product, len(posts)))
            _save(casual_photo(cutout, kind.place, scenery, rng), folder / posts[-1].image, rng)
        drawn()
    catalogue = Catalogue(folder, tuple(product for _, product in drawings), tuple(posts))
    _save_street(catalogue, drawings, scenery, seed)
    _write_products(catalogue, drawings, np.random.default_rng([seed, products]))
    _write_posts(catalogue)
    return catalogue


def describe_product(id: str) -> DemoProduct | None:
    """Ground truth of the product with this id, which is the same in all catalogues; None for other ids."""
    digits = id.removeprefix("p")
    if not digits.isdecimal() or not 1 <= int(digits) <= MAX_PRODUCTS:
        return None
    return _describe(int(digits) - 1)[1]


def _describe(number: int) -> tuple[ProductKind, DemoProduct]:
    """The product with this number: kinds rotate, and each kind uses all colours before one repeats."""
    cycle, position = divmod(number, len(KINDS))
    kind = KINDS[position]
    # A step of 5 visits all twelve colours, and adjacent products have different colours.
    colour = tuple(COLOURS)[(5 * cycle + 7 * position) % len(COLOURS)]
    pattern = PATTERNS[(cycle + position + cycle // len(COLOURS)) % len(PATTERNS)]
    name = f"p{number + 1:04}"
    return kind, DemoProduct(name, kind.name, colour, pattern, f"{IMAGES}/{name}.jpg", f"{PHOTOS}/{name}.jpg")


def _draw(kind: ProductKind, product: DemoProduct, rng: np.random.Generator) -> Image.Image:
    red, green, blue = (channel * rng.uniform(0.95, 1.05) for channel in COLOURS[product.colour])
    colour: Colour = (red, green, blue)
    pen = Pen(Finish(colour, WHITE, product.pattern), rng)
    kind.draw(pen)
    return pen.cutout()


def _save_street(
    catalogue: Catalogue, drawings: list[tuple[ProductKind, DemoProduct]], scenery: Scenery, seed: int
) -> None:
    """Draw the photo of the street, unless the catalogue lacks one of its kinds."""
    numbers = [catalogue.products.index(product) for product in catalogue.street_products]
    if len(numbers) < len(STREET_KINDS):
        return
    cutouts = [_draw(*drawings[number], np.random.default_rng([seed, number])) for number in numbers]
    rng = np.random.default_rng([seed, MAX_PRODUCTS])
    _save(street_photo(cutouts, scenery, rng), catalogue.street_photo, rng)


def _save(shot: Shot, path: Path, rng: np.random.Generator) -> None:
    shot.picture.save(path, quality=int(rng.integers(64, 79)), exif=shot.exif())


def _post(product: DemoProduct, number: int) -> DemoPost:
    creator = CREATORS[number % len(CREATORS)]
    return DemoPost(f"{_actor(creator)}/posts/{number + 1}", creator, product, f"{POSTS}/s{number + 1:04}.jpg")


def _actor(creator: str) -> str:
    return f"https://social.example/@{creator}"


def _write_products(
    catalogue: Catalogue, drawings: list[tuple[ProductKind, DemoProduct]], rng: np.random.Generator
) -> None:
    with catalogue.products_file.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(_rows(drawings, rng))


def _rows(drawings: list[tuple[ProductKind, DemoProduct]], rng: np.random.Generator) -> Iterator[tuple[str, ...]]:
    for kind, product in drawings:
        brand = BRANDS[int(rng.integers(len(BRANDS)))]
        title = f"{ADJECTIVES[product.pattern]} {product.colour} {product.kind} by {brand}"
        price = f"{int(rng.integers(*kind.prices))}.99 EUR"
        stock = "in_stock" if rng.random() < 0.85 else "out_of_stock"
        link = f"https://shop.example/products/{product.id}"
        yield product.id, title, product.image, price, stock, product.kind, brand, product.colour, link


def _write_posts(catalogue: Catalogue) -> None:
    lines = (json.dumps(_activity(number, post)) for number, post in enumerate(catalogue.posts))
    catalogue.posts_file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _activity(number: int, post: DemoPost) -> dict[str, object]:
    """A post as an ActivityStreams 2.0 `Create` activity of a note with a picture and hashtags."""
    actor = _actor(post.creator)
    label = f"{post.product.colour} {post.product.kind}"
    published = (FIRST_POST + timedelta(hours=7 * number)).isoformat()
    hashtags = (post.product.kind.replace("-", ""), post.product.colour, "mystyle")
    return {
        "@context": "https://www.w3.org/ns/activitystreams",
        "id": f"{post.id}/activity",
        "type": "Create",
        "actor": actor,
        "published": published,
        "object": {
            "id": post.id,
            "type": "Note",
            "attributedTo": {"type": "Person", "id": actor, "preferredUsername": post.creator},
            "published": published,
            "url": post.id,
            "content": f"<p>{REMARKS[number % len(REMARKS)].format(label)}</p>",
            "tag": [{"type": "Hashtag", "name": f"#{hashtag}"} for hashtag in hashtags],
            "attachment": [{"type": "Image", "mediaType": "image/jpeg", "url": post.image, "name": f"a {label}"}],
        },
    }
