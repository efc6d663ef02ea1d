"""Capacity: what a load needs, and what becomes of lag and freshness under it."""
