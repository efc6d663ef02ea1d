"""What a score means: calibration, confidence, and votes on a category."""
