"""Dead letters: records that were refused, whole, with the reason; listed, shown, counted and replayed."""
