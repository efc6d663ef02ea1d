"""Settings, from environment variables."""
