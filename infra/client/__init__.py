"""The client side of the protocol over Kafka."""
