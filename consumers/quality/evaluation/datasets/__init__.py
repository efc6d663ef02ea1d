"""Readers of public retrieval sets: one file a format, each a DatasetFormat, listed in formats.py."""
