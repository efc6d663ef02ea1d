"""A control: `lookstream` whose query worker ignores the deadlines of requests. Same arguments."""

from unittest.mock import patch

from consumers.searching.query_state import QueryState
from lookstream.__main__ import main

if __name__ == "__main__":
    with patch.object(QueryState, "is_late", lambda *_: False):
        main()
