"""Quality: evaluation of the search results, fitting of encoders, and the canary."""
