"""Words: understand the text of a search by a lexicon and by the vocabulary of the collection."""
