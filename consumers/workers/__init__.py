"""Composition roots: build a worker and inject its dependencies."""
