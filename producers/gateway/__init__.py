"""HTTP gateway for clients without Kafka: turns requests into Kafka events and returns the results."""
