"""Whatever can be down, slow or missing: Kafka, Qdrant, the encoder, the network, the processes."""
