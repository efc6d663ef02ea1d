"""Python's garbage collector, in processes that answer."""

import gc


def freeze_startup_objects() -> None:
    """Have later collections leave out all objects of now: call it when everything is built, before work begins.

    What the start has made lives as long as the process. To look through it takes .25 to .29 s, in which nothing
    else happens (the gateway's modules, Python 3.11, EPYC of 2 cores).
    """
    gc.collect()
    gc.freeze()
