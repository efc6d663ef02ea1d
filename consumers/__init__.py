"""Consumers: the index worker and the query worker, which process events from Kafka."""
