"""Scoring: calibrate scores into confidences, and predict categories by vote."""
