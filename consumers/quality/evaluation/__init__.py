"""Evaluation: `lookstream evaluate` measures search quality with labelled pictures, with confidence intervals."""
