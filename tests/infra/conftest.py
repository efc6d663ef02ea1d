"""One host of pictures for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.infra.fetching.picture_host import Handler, run_server


@pytest.fixture(scope="session")
def port() -> Iterator[int]:
    """The port of a host of pictures on 127.0.0.1."""
    with run_server(Handler) as port:
        yield port
