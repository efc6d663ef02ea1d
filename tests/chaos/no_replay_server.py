"""A control: `tests.chaos.engine_server` whose optimised copies lack the writes made during optimisation."""

from tests.chaos import engine_server

if __name__ == "__main__":
    engine_server.main("tests.chaos.no_replay_engine")
