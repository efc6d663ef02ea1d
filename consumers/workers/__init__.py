"""The composition roots: they build a worker and hand everything down."""
