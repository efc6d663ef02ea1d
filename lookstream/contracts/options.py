"""Options of pytest that name the plug-ins to test; a plug-in of pytest itself, because they are read first."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lookstream", "contract suites of lookstream")
    group.addoption(
        "--encoder", action="append", default=[], metavar="NAME", help="as LOOKSTREAM_ENCODER; repeatable"
    )
    group.addoption("--detector", action="append", default=[], metavar="NAME", help="an entry point; repeatable")
