"""Pictures from elsewhere: web addresses, buckets and folders, guarded."""
