"""Whoever puts events in: catalogs, social posts, searches."""
