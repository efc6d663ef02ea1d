"""Image operations: commands for the pictures of the content store."""
