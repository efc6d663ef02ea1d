"""Standing searches: what is looked for in every picture that is indexed."""
