"""The embedded engine as a database server: one owner process, and clients over a Unix socket."""
