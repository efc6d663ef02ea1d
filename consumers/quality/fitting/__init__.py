"""Teach it a catalogue: `lookstream fit`, from pictures, labelled or not, to an encoder folder."""
