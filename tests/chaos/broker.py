"""The local broker as a program: `python -m tests.chaos.broker PORT`."""

import os
import sys

from infra.local.services import broker_service

if __name__ == "__main__":
    command = list(broker_service(int(sys.argv[1])).command)
    os.execv(command[0], command)
