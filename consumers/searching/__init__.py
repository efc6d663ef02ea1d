"""The path of searches: from requests to answers."""
