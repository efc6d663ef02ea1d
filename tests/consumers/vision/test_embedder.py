"""The embedder: one look for each picture, in order, with the quick encoder; and the weights of the parts."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from consumers.vision.colour import ColourExtractor
from consumers.vision.contracts import EncoderInput
from consumers.vision.crops import MIDDLE_SIDE_SHARE
from consumers.vision.embedder import EmbedOptions, ImageEmbedder
from consumers.vision.look import Look
from consumers.vision.look_vector import look_size, weight_look
from infra.array_types import Box
from infra.encoder.grid import GridEncoder
from infra.images.decode import DecodeLimits, decode
from schemas.failures import Code, Rejected
from schemas.ranking import INTENTS, Weights
from schemas.searches import Crop
from tests.component_detector import ComponentDetector
from tests.consumers.framed_catalogue import TwoViewEncoder, framed_photo
from tests.consumers.vision.packages import package

Encode = Callable[..., bytes]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def embedder(pool: ThreadPoolExecutor, colours: ColourExtractor) -> ImageEmbedder:
    return ImageEmbedder(GridEncoder(), colours, DecodeLimits(), pool)


@pytest.fixture
def red(encode: Encode) -> bytes:
    return encode(Image.new("RGB", (300, 200), "red"))


@dataclass(frozen=True)
class OverflowingEncoder:
    """The grid encoder, but one vector of every batch is not finite, as of a network that overflows."""

    grid: GridEncoder = field(default_factory=GridEncoder)
    at: int = 0
    fingerprint: str = "overflowing:1"
    object_size: int = GridEncoder.object_size
    style_size: int = GridEncoder.style_size

    def prepare(self, image: Image.Image, box: Box) -> NDArray[np.uint8]:
        return self.grid.prepare(image, box)

    def prepare_region(self, image: Image.Image, box: Box) -> NDArray[np.uint8]:
        return self.prepare(image, box)

    def run(self, batch: Sequence[EncoderInput]) -> NDArray[np.float32]:
        vectors = self.grid.run(batch)
        vectors[self.at, 3] = np.nan
        return vectors


@dataclass(frozen=True)
class RecordingEncoder:
    """The grid encoder, which also records its inputs."""

    grid: GridEncoder = field(default_factory=GridEncoder)
    fingerprint: str = "watched:1"
    object_size: int = GridEncoder.object_size
    style_size: int = GridEncoder.style_size
    boxes: list[Box] = field(default_factory=list)
    inputs: list[EncoderInput] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    """Of the batches."""

    def prepare(self, image: Image.Image, box: Box) -> NDArray[np.uint8]:
        self.boxes.append(box)
        return self.grid.prepare(image, box)

    def prepare_region(self, image: Image.Image, box: Box) -> NDArray[np.uint8]:
        return self.prepare(image, box)

    def run(self, batch: Sequence[EncoderInput]) -> NDArray[np.float32]:
        self.inputs.extend(batch)
        self.sizes.append(len(batch))
        return self.grid.run(batch)


def test_a_look_has_three_unit_parts_and_the_facts(embedder: ImageEmbedder, red: bytes) -> None:
    [look] = embedder.embed([red])
    assert isinstance(look, Look)
    assert look.vector.shape == (look_size(embedder.encoder),) == (48 + 16 + 64,)
    assert [np.linalg.norm(part) for part in np.split(look.vector, [48, 64])] == pytest.approx([1, 1, 1], abs=1e-4)
    assert (look.colours, look.palette[0].hex) == (("red",), "#ff0000")
    assert (look.width, look.height) == (300, 200)
    assert look.thumbnail is not None
    assert decode(look.thumbnail, DecodeLimits()).image.size == (96, 64)


def test_one_bad_picture_never_fails_the_others(embedder: ImageEmbedder, red: bytes) -> None:
    good, bad, also_good = embedder.embed([red, b"not a picture", red])
    assert isinstance(good, Look)
    assert isinstance(bad, Rejected)
    assert bad.code == Code.IMAGE_FORMAT
    assert isinstance(also_good, Look)
    assert np.array_equal(good.vector, also_good.vector)


def test_bad_pictures_alone_need_no_encoder(embedder: ImageEmbedder) -> None:
    assert [type(one) for one in embedder.embed([b"", b"?"])] == [Rejected, Rejected]


def test_no_pictures_give_no_looks(embedder: ImageEmbedder) -> None:
    assert embedder.embed([]) == []


def test_a_crop_counts_for_its_own_picture(embedder: ImageEmbedder, encode: Encode) -> None:
    image = Image.new("RGB", (200, 100), "red")
    image.paste("blue", (100, 0, 200, 100))
    right = Crop(x=0.5, y=0, w=0.5, h=1)
    whole, part = embedder.embed([encode(image)] * 2, [None, right])
    assert isinstance(whole, Look)
    assert isinstance(part, Look)
    assert (set(whole.colours), part.colours) == ({"red", "blue"}, ("blue",))
    assert (part.width, part.height) == (100, 100)


def test_the_encoder_is_shown_a_photo_twice_and_a_studio_picture_once(
    pool: ThreadPoolExecutor, colours: ColourExtractor, encode: Encode, red: bytes
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (100, 200, 3), np.uint8)
    encoder = RecordingEncoder()
    ImageEmbedder(encoder, colours, DecodeLimits(), pool).embed([encode(Image.fromarray(noise)), red])
    photo, studio, _ = encoder.inputs
    assert (photo.studio, len(photo.views)) == (False, 2)
    assert (studio.studio, len(studio.views)) == (True, 1)
    assert np.array_equal(photo.views[0], encoder.prepare(Image.fromarray(noise), (0, 0, 200, 100)))


def test_a_photo_has_an_object_part_of_its_whole_view_alone_and_a_studio_picture_has_none(
    pool: ThreadPoolExecutor, colours: ColourExtractor, red: bytes
) -> None:
    encoder = TwoViewEncoder()
    embedder = ImageEmbedder(encoder, colours, DecodeLimits(), pool)
    studio, photo = embedder.embed([red, framed_photo(1)])
    assert isinstance(studio, Look)
    assert isinstance(photo, Look)
    assert studio.whole_view is None
    assert photo.whole_view is not None
    with Image.open(BytesIO(framed_photo(1))) as image:
        pixels = encoder.prepare(image, (0, 0, *image.size))
    [whole] = encoder.run([EncoderInput((pixels,), studio=False)])
    assert np.allclose(photo.whole_view, whole[: encoder.object_size], atol=1e-6)
    assert not np.allclose(photo.whole_view, photo.vector[: encoder.object_size], atol=1e-2)


def test_the_views_of_a_crop_lie_within_it(
    pool: ThreadPoolExecutor, colours: ColourExtractor, encode: Encode
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (100, 200, 3), np.uint8)
    encoder = RecordingEncoder()
    ImageEmbedder(encoder, colours, DecodeLimits(), pool).embed(
        [encode(Image.fromarray(noise))], [Crop(x=0.5, y=0, w=0.5, h=1)]
    )
    whole, middle = encoder.boxes
    assert whole == (0, 0, 100, 100)
    assert middle == pytest.approx(
        [
            50 - 50 * MIDDLE_SIDE_SHARE,
            50 - 50 * MIDDLE_SIDE_SHARE,
            50 + 50 * MIDDLE_SIDE_SHARE,
            50 + 50 * MIDDLE_SIDE_SHARE,
        ]
    )
    photo, _ = encoder.inputs
    assert np.array_equal(photo.views[0], encoder.prepare(Image.fromarray(noise[:, 100:]), (0, 0, 100, 100)))


def test_a_dark_photo_is_restored_only_on_request_and_only_as_a_whole(
    embedder: ImageEmbedder, encode: Encode
) -> None:
    photo = encode(package(1).crop((60, 60, 360, 260)).point([value // 3 for value in range(256)] * 3))
    restored = EmbedOptions(restored=True)
    [plain], [bright] = embedder.embed([photo]), embedder.embed([photo], (), restored)
    assert isinstance(plain, Look)
    assert isinstance(bright, Look)
    assert not np.array_equal(plain.vector, bright.vector)
    assert plain.phash == bright.phash, "it is still that picture"
    crop = Crop(x=0.1, y=0.1, w=0.5, h=0.5)
    [plain], [part] = embedder.embed([photo], [crop]), embedder.embed([photo], [crop], restored)
    assert isinstance(plain, Look)
    assert isinstance(part, Look)
    assert np.array_equal(plain.vector, part.vector)


def test_a_dark_studio_picture_is_not_restored(embedder: ImageEmbedder, encode: Encode) -> None:
    image = Image.new("RGB", (300, 200), "#202020")
    image.paste("#601010", (80, 50, 200, 150))
    [plain], [same] = (embedder.embed([encode(image)], (), EmbedOptions(restored=on)) for on in (False, True))
    assert isinstance(plain, Look)
    assert isinstance(same, Look)
    assert plain.studio
    assert np.array_equal(plain.vector, same.vector)


def test_crops_must_match_the_pictures(embedder: ImageEmbedder, red: bytes) -> None:
    with pytest.raises(ValueError, match="shorter"):
        embedder.embed([red, red], [None])


def test_a_vector_that_is_not_finite_is_rejected(
    pool: ThreadPoolExecutor, colours: ColourExtractor, red: bytes
) -> None:
    first, second = ImageEmbedder(OverflowingEncoder(), colours, DecodeLimits(), pool).embed([red, red])
    assert isinstance(first, Rejected)
    assert first.code == Code.VECTOR_INVALID
    assert isinstance(second, Look)


def test_thumbnails_can_be_left_out(pool: ThreadPoolExecutor, colours: ColourExtractor, red: bytes) -> None:
    [look] = ImageEmbedder(GridEncoder(), colours, DecodeLimits(thumbnail=0), pool).embed([red])
    assert isinstance(look, Look)
    assert look.thumbnail is None


@given(st.tuples(*[st.floats(0, 1)] * 3).filter(lambda shares: sum(shares) > 0.01))
def test_a_weighted_dot_product_is_the_weighted_sum_of_cosines(shares: tuple[float, float, float]) -> None:
    draw = np.random.default_rng(0)
    parts = [draw.standard_normal((2, size)) for size in (5, 3, 4)]
    units = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
    query, hit = np.concatenate(units, axis=1).astype(np.float32)
    weights = Weights(object=shares[0], style=shares[1], colour=shares[2])
    cosines = [unit[0] @ unit[1] for unit in units]
    expected = np.dot(shares, cosines) / sum(shares)
    assert weight_look(query, weights, 5, 3) @ hit == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("intent", INTENTS)
def test_a_look_scores_one_against_itself(intent: str, embedder: ImageEmbedder, red: bytes) -> None:
    [look] = embedder.embed([red])
    assert isinstance(look, Look)
    weights = {str(name): weights for name, weights in INTENTS.items()}[intent]
    assert weight_look(look.vector, weights, 48, 16) @ look.vector == pytest.approx(1, abs=1e-4)


@pytest.fixture
def two_discs(encode: Encode) -> bytes:
    """A red disc on the left and a blue one on the right, on white."""
    image = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(image).ellipse((40, 100, 140, 200), fill="#cc2222")
    ImageDraw.Draw(image).ellipse((240, 120, 340, 220), fill="#2255cc")
    return encode(image)


def test_each_thing_has_a_look_of_its_own_from_the_same_batch(
    pool: ThreadPoolExecutor, colours: ColourExtractor, two_discs: bytes, red: bytes
) -> None:
    encoder = RecordingEncoder()
    embedder = ImageEmbedder(encoder, colours, DecodeLimits(), pool, open_detector=ComponentDetector)
    other, look = embedder.embed([red, two_discs], (), EmbedOptions(objects="auto"))
    assert isinstance(look, Look)
    assert isinstance(other, Look)
    assert [region.look.colours[0] for region in look.regions] == ["red", "blue"]
    left, right = (region.box for region in look.regions)
    assert (left.x, left.y, left.w, left.h) == pytest.approx((0.1, 1 / 3, 0.25, 1 / 3), abs=0.02)
    assert (right.x, right.w) == pytest.approx((0.6, 0.25), abs=0.02)
    assert other.regions == ()
    assert encoder.sizes == [4]


def test_the_look_of_the_whole_is_the_same_with_things_and_without(
    pool: ThreadPoolExecutor, colours: ColourExtractor, two_discs: bytes
) -> None:
    embedder = ImageEmbedder(GridEncoder(), colours, DecodeLimits(), pool, open_detector=ComponentDetector)
    [plain], [rich] = (
        embedder.embed([two_discs], (), EmbedOptions(objects=objects)) for objects in ("none", "all")
    )
    assert isinstance(plain, Look)
    assert isinstance(rich, Look)
    assert np.array_equal(plain.vector, rich.vector)
    assert plain.regions == ()
    assert len(rich.regions) == 2


def test_a_thing_whose_look_fails_is_left_out(
    pool: ThreadPoolExecutor, colours: ColourExtractor, two_discs: bytes
) -> None:
    encoder = OverflowingEncoder(at=1)
    embedder = ImageEmbedder(encoder, colours, DecodeLimits(), pool, open_detector=ComponentDetector)
    [look] = embedder.embed([two_discs], (), EmbedOptions(objects="auto"))
    assert isinstance(look, Look)
    assert [region.look.colours[0] for region in look.regions] == ["blue"]
