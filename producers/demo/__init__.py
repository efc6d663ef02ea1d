"""The demo: a product catalogue drawn in code, and the tour that shows the whole system with it."""
