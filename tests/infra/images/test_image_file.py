"""Opening pictures: one decoder for each format, and messages that name the error."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.images import formats
from infra.images.decode import DecodeLimits, decode
from infra.images.image_file import MAX_PIXELS, naming_format
from schemas.failures import Code, Rejected
from tests.infra.images.drawn import KINDS, encoded, photo, refusal

SMALL = {kind: encoded(photo(24, 20), kind) for kind in KINDS}
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "text",
    ["<_io.BytesIO object at 0x7f5c1768>", "cannot read b'secret'", 'at 0x7FFF5C17 b"secret"', "", "\n", "a\nb"],
)
def test_a_message_about_a_broken_picture_reveals_nothing_of_this_process(text: str) -> None:
    with pytest.raises(Rejected) as caught, naming_format(formats.AVIF):
        raise RuntimeError(text)
    assert caught.value.code == Code.IMAGE_UNREADABLE
    assert caught.value.message.startswith("the picture is an AVIF that cannot be read")
    assert not any(word in caught.value.message for word in ("0x", "secret", "BytesIO", "\n"))


@pytest.mark.parametrize("error", [OSError, RuntimeError, KeyError, ZeroDivisionError, UnicodeError, Warning])
def test_every_exception_of_a_decoder_is_a_refusal(error: type[Exception]) -> None:
    with pytest.raises(Rejected), naming_format(formats.PNG):
        raise error("1")


def test_a_lack_of_memory_is_no_fault_of_the_picture() -> None:
    with pytest.raises(MemoryError), naming_format(formats.PNG):
        raise MemoryError


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_a_picture_that_breaks_off_is_named_and_not_contradicted(kind: str, share: float) -> None:
    data = encoded(photo(640, 480), kind)
    message = refusal(data[: max(int(len(data) * share), 20)]).message
    assert "that cannot be read" in message
    assert "not a JPEG" not in message


def test_a_format_without_its_decoder_is_refused_by_name() -> None:
    for kind, name in (("HEIF", "HEIC"), ("JXL", "JPEG XL")):
        code = (
            "import sys\n"
            "sys.modules['pillow_heif'] = sys.modules['pillow_jxl'] = None\n"
            "from infra.images.decode import DecodeLimits, decode\n"
            "try:\n"
            "    decode(sys.stdin.buffer.read(), DecodeLimits())\n"
            "except Exception as error:\n"
            "    print(error.code, error.message)\n"
        )
        data = encoded(photo(), kind)
        done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, cwd=ROOT, check=True)
        assert (
            f"image_format the picture is a {name}, which cannot be decoded on this machine" in done.stdout.decode()
        )


def test_no_other_decoder_is_ever_loaded() -> None:
    code = (
        "import sys\n"
        "from infra.images.decode import DecodeLimits, decode\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        decode(open(path, 'rb').read(), DecodeLimits())\n"
        "    except Exception:\n"
        "        pass\n"
        "print(*sorted(name for name in sys.modules if name.endswith('ImagePlugin')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, __file__], capture_output=True, cwd=ROOT, check=True)
    loaded = {name.removeprefix("PIL.").removesuffix("ImagePlugin") for name in done.stdout.decode().split()}
    assert loaded <= {"Avif", "Tiff"}, loaded


@pytest.mark.filterwarnings("ignore")
@given(kind=st.sampled_from(KINDS), length=st.integers(0, 120), more=st.binary(max_size=300))
def test_whatever_follows_the_start_of_a_file_is_a_picture_or_a_refusal(
    kind: str, length: int, more: bytes
) -> None:
    with suppress(Rejected):
        decode(SMALL[kind][:length] + more, DecodeLimits(max_pixels=1_000_000))


def test_limits_of_single_formats_are_those_of_their_decoders() -> None:
    assert all(limit <= 100_000_000 for limit in MAX_PIXELS.values())
