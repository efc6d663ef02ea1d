"""Vector index: one contract with two engines, a Qdrant server and the embedded qdrant-edge."""
