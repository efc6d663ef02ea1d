"""Canary: runs searches with known answers against a running system."""
