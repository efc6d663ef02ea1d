"""The canary: searches whose answers are known, asked of a running system."""
