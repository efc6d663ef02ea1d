"""Feeds: read files of products, of whatever compression, encoding, format and dialect, as rows."""
