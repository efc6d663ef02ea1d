"""Standing searches from outside: added, listed, ended, and what they find."""
