"""Capacity planning: resources and monthly cost for a load."""
