"""Worker runtime: the loop that polls Kafka, calls a handler, routes failures and commits; no image code."""
