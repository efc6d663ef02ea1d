"""Infrastructure: Kafka, Qdrant, the encoder, the network and processes, which can be down, slow or missing."""
