"""Contract suites for plug-ins: `pytest --pyargs lookstream.contracts --encoder NAME --detector NAME`."""
