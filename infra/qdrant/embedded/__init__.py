"""Embedded engine: a local database server with one owner process and clients over a Unix socket."""
