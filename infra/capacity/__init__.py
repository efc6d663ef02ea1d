"""Capacity planning: resources and monthly cost for a load, and a simulation of its lag and freshness."""
