"""The index: one query plan, and two engines that carry it out (a Qdrant server, or embedded)."""
