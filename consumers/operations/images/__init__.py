"""Image operations: what an operator does with the pictures of the content store."""
