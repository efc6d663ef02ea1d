"""Fetching: download pictures from URLs, S3 buckets and folders, with protection against hostile sources."""
