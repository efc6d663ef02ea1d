"""What an operator does: dead letters, and a change of the encoder."""
