"""Client: send search requests and item events over Kafka, and receive their answers and outcomes."""
