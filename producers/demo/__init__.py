"""Demo: draw a product catalogue in code and run the whole system on it."""
