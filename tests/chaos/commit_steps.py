"""The steps of a transaction at which `crash_in_commit` can kill its worker."""

STEPS = ("before-arrival", "before-offsets", "after-offsets", "after-commit")
