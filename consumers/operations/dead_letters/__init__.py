"""Dead letters: list, show, count and replay the records that a worker rejected, with the reason."""
