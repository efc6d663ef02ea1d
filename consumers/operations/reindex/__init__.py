"""Changing the encoder of a running system: a second index, a gate, a switch, and the way back."""
