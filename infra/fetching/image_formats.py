"""Image formats: recognise pictures of the accepted formats, by their first bytes alone."""

MAGIC = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png", b"GIF8": "image/gif"}
"""First bytes of the formats; WebP is RIFF, four bytes of length, WEBP."""
MAGIC_BYTES = 12


def media_type(start: bytes) -> str | None:
    """The media type of data with these first MAGIC_BYTES bytes; None if it is no picture."""
    if start.startswith(b"RIFF") and start[8:MAGIC_BYTES] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), None)
