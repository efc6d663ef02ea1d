"""Producers: send item events and search requests, from feeds, the command line and HTTP."""
