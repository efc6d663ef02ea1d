"""Watches: standing searches that are compared with every picture when it is indexed."""
