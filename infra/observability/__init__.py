"""Observability: logs, traces and heartbeats, and the redaction of secrets in them."""
