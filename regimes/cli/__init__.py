"""The command line: reads options, leaves the work to `regimes.commands`."""

import os

# Before numpy is loaded: its matrices are small here, and threads that wait for each other cost more than they bring.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from regimes.cli.app import app, main

__all__ = ["app", "main"]
