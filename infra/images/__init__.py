"""Pictures: what formats there are, and what their files state about their pixels."""
