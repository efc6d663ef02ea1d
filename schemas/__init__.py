"""The words on the wire: events, topics and failure words; imports pydantic alone."""
