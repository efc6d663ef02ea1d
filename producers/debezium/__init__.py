"""Debezium import: turn Debezium change events of a product table into item events."""
