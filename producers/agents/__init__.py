"""Agents: an MCP server, so that language models search a catalogue as tools."""
