"""Watches (standing searches): add, list and remove them, and follow their matches."""
