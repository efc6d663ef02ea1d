"""Whoever takes events out of Kafka: the index worker and the query worker."""
