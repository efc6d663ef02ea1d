"""Item state and payload, to and from points of the index."""
