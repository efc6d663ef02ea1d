"""Fitting: `lookstream fit` adapts an encoder to a catalogue's pictures, labelled or not, and writes its folder."""
