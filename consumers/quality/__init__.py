"""Evaluation, fitting and the canary: how good the answers are."""
