"""The whole system on one machine: `lookstream up`, its services and their supervisor."""
