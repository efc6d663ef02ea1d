"""Pictures in a folder or an object store, kept in the index as they come, change and go."""
