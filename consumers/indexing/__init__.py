"""The path of item events: from events to points."""
