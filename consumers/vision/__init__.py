"""Pixels in, facts out: imports numpy, PIL and schemas alone."""
