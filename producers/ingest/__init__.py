"""Ingest: send the events of a feed, follow them to their outcomes, and report on each row."""
