"""Configuration: settings from environment variables."""
