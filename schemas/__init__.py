"""Contracts: the events, topics and failure codes that all parts share; depends on pydantic only."""
