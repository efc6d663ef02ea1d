"""Administration of Kafka by command: topics, and the access rights of each part of the system."""
