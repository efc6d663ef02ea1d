"""Reindexing: changes the encoder of a running system by a second index, a gate, a switch and a rollback."""
