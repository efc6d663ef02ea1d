"""`lookstream` whose workers do not prefetch pictures of later batches. Same arguments."""

from unittest.mock import patch

from infra.fetching.prefetch import Prefetch
from lookstream.__main__ import main

if __name__ == "__main__":
    with patch.object(Prefetch, "begin", lambda *_: None):
        main()
