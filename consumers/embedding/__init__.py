"""Bytes to a look: fetch, decode in a process without rights, embed, cache."""
