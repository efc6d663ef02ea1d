"""Logs, traces, heartbeats, and secrets that stay out of them."""
