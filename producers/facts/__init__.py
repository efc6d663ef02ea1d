"""Facts: read the cells of feeds as prices, availability, dates, pictures and texts of items."""
