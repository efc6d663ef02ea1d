"""Image sync: synchronise the index with the pictures of a folder or a bucket."""
