"""Client: request and reply over Kafka, from the client side."""
