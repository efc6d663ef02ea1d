"""Picture formats that are taken, told by how their bytes begin; what is no picture is told in no other way."""

MAGIC = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png", b"GIF8": "image/gif"}
"""How the formats begin; WebP is RIFF, four bytes of length, WEBP."""
MAGIC_BYTES = 12


def media_type(start: bytes) -> str | None:
    """The media type of what begins with these bytes, of which it takes MAGIC_BYTES; None: no picture."""
    if start.startswith(b"RIFF") and start[8:MAGIC_BYTES] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), None)
