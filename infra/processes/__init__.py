"""Processes: start child processes, and end them together with their parent."""
