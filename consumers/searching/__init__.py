"""Searching: process search and facets requests from the request record to the reply."""
