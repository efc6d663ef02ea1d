"""The steps of a transaction at which a doomed worker may die."""

STEPS = ("before-arrival", "before-offsets", "after-offsets", "after-commit")
