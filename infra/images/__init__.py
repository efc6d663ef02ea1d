"""Images: formats, decoding and shrinking of pictures."""
