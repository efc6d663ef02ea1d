"""Operator tools: inspect and replay dead letters, and reindex with another encoder."""
