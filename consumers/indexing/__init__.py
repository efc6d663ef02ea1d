"""Indexing of item events: from events to points of the index."""
