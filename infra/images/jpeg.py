"""JPEG files: keep the first picture alone, with what decides its look, and find out how much of it is there.

Cameras and phones put much more into these files: previews, gain maps, depth maps, second pictures, motion video.
Markers are ITU-T T.81, annex B.
"""

import re
from dataclasses import dataclass, field

START, END, SCAN = 0xD8, 0xD9, 0xDA
FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers of frame headers: 0xC4 and 0xCC are tables, 0xC8 is reserved."""
TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF})
PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
STANDALONE = frozenset({0x00, 0x01, START, *range(0xD0, 0xD8)})
"""Markers without a length; outside of a scan they mean nothing."""
APP0, APP1, APP2, APP14 = 0xE0, 0xE1, 0xE2, 0xEE
JFIF_BYTES, ADOBE_BYTES = 14, 12
"""Bytes that these segments must have to be valid; decoders ignore shorter ones, PIL fails on them."""

MAX_SEGMENTS = 20_000
"""Segments before the end of the first picture; real files have less than 2,000."""
SCAN_END = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""Any marker that ends the data of a scan; stuffed zeros, fill bytes and restarts do not."""
EVERY_COEFFICIENT = range(64)
NOT_SENT = 99
"""In place of the position of the last bit that was sent of a coefficient."""


@dataclass
class JpegFile:
    """The first picture of a JPEG file, as far as it is there.

    `samples` counts the samples of all its scans, and so the work of decoding; `is_whole` is whether it has an end.
    """

    data: bytes = b""
    width: int = 0
    height: int = 0
    is_progressive: bool = False
    is_whole: bool = False
    samples: int = 0
    mcu_height: int = 8
    """Lines of a row of MCUs, the smallest unit in which lines arrive: 8, 16 or 32."""
    components: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Horizontal and vertical sampling factors, by the id of the component."""
    sent_bits: dict[int, list[int]] = field(default_factory=dict)
    """By component, the position of the lowest bit of each coefficient in the scans that have ended."""

    @property
    def coefficient_bytes(self) -> int:
        """Bytes that the decoder needs for the coefficients of a picture of several scans."""
        if not self.is_progressive:
            return 0
        return round(sum(map(self._share, self.components)) * self.width * self.height * 2)

    @property
    def lacks_last_bits_alone(self) -> bool:
        """Whether a progressive picture that breaks off has all of every coefficient but the lowest bit."""
        return bool(self.sent_bits) and max(max(bits) for bits in self.sent_bits.values()) <= 1

    def _share(self, component: int) -> float:
        """Samples of a component for each pixel, 0 to 1."""
        widest = max(h for h, _ in self.components.values())
        highest = max(v for _, v in self.components.values())
        h, v = self.components.get(component, (0, 0))
        return h * v / (widest * highest)

    def finish(self, data: bytes, *, is_whole: bool) -> None:
        """Set the bytes that were kept, and whether they have an end."""
        self.data, self.is_whole = data, is_whole

    def add_frame(self, marker: int, body: bytes) -> None:
        """Note the size and the components of a frame header."""
        if len(body) < 6 or len(body) < 6 + 3 * body[5]:
            return
        self.height, self.width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
        self.is_progressive = marker in PROGRESSIVE
        for at in range(6, 6 + 3 * body[5], 3):
            self.components[body[at]] = (max(body[at + 1] >> 4, 1), max(body[at + 1] & 15, 1))
        self.sent_bits = {each: [NOT_SENT] * 64 for each in self.components}
        self.mcu_height = 8 * max((v for _, v in self.components.values()), default=1)

    def add_scan(self, header: bytes, *, has_ended: bool) -> None:
        """Count the samples of a scan, and note the bits of the coefficients that it has sent."""
        count = header[0] if header else 0
        if len(header) < 4 + 2 * count:
            return
        names = list(header[1 : 1 + 2 * count : 2])
        self.samples += round(sum(map(self._share, names)) * self.width * self.height) if self.components else 0
        first, last, low_bit = header[-3], header[-2], header[-1] & 15
        for name in names if has_ended else ():
            for n in EVERY_COEFFICIENT[first : last + 1]:
                self.sent_bits.get(name, [0] * 64)[n] = low_bit


def read_jpeg(data: bytes) -> JpegFile:
    """Walk the segments of a file to the end of its first picture, and keep what decides its look.

    Bytes between segments, comments and broken or unknown APP segments are left out. A file without an end is read
    as far as it goes.
    """
    jpeg, parts, at, is_whole = JpegFile(), [b"\xff\xd8"], 2, False
    for _ in range(MAX_SEGMENTS):
        start = data.find(b"\xff", at)
        marker_at = _skip_fill(data, start)
        if start < 0 or marker_at >= len(data):
            break
        marker, at = data[marker_at], marker_at + 1
        if marker == END:
            parts.append(b"\xff\xd9")
            is_whole = True
            break
        if marker in STANDALONE:
            continue
        end = at + max(int.from_bytes(data[at : at + 2], "big"), 2)
        body = data[at + 2 : end]
        if marker in FRAMES:
            if jpeg.samples:
                break  # The picture has no end, and the next one begins.
            jpeg.add_frame(marker, body)
        if marker == SCAN:
            found = SCAN_END.search(data, end)
            jpeg.add_scan(body, has_ended=found is not None)
            # A download that broke off may be filled up with zeros.
            end = found.start() if found else len(data.rstrip(b"\0"))
        if marker == SCAN or _decides_look(marker, body):
            parts.append(data[marker_at - 1 : end])
        at = end
    jpeg.finish(b"".join(parts if is_whole else _to_last_scan(parts)), is_whole=is_whole)
    return jpeg


def _to_last_scan(segments: list[bytes]) -> list[bytes]:
    """The segments without those behind the last scan, which are of another picture; all if there is no scan."""
    scans = [place for place, each in enumerate(segments) if each[1] == SCAN]
    return segments[: scans[-1] + 1] if scans else segments


def _skip_fill(data: bytes, at: int) -> int:
    """The position behind any number of FF bytes."""
    while at >= 0 and data[at : at + 1] == b"\xff":
        at += 1
    return at


def _decides_look(marker: int, body: bytes) -> bool:
    """Whether the decoder, the orientation or the colours depend on a segment, and it is whole."""
    if marker in FRAMES or marker in TABLES:
        return True
    if marker == APP0:
        return body.startswith(b"JFIF\0") and len(body) >= JFIF_BYTES
    if marker == APP1:
        return body.startswith((b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"))
    if marker == APP2:
        return body.startswith(b"ICC_PROFILE\0") and len(body) > JFIF_BYTES
    return marker == APP14 and body.startswith(b"Adobe") and len(body) >= ADOBE_BYTES
