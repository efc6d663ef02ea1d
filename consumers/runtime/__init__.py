"""The consumer loop: take records, have them handled, route what failed, commit; it knows nothing of pictures."""
