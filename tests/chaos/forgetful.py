"""A control: `tests.chaos.engine_server` whose optimised copies do not replay what was written meanwhile."""

from tests.chaos import engine_server

if __name__ == "__main__":
    engine_server.main("tests.chaos.forgetful_engine")
