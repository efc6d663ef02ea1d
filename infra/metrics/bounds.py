"""Bounds: bucket bounds of the histograms."""

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.5, 3.0, 6.0, 12.0)
"""Bounds of durations in seconds; finer near the targets, which are 0.4 s for a search and 1 s for freshness."""
RECORDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
