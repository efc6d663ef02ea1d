"""Server engine: the index on a Qdrant server or cluster."""
