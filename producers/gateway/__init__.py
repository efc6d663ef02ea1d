"""An HTTP door for teams without Kafka: requests in, answers out, and all between them over Kafka."""
