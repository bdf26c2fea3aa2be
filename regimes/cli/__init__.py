"""The command line: reads options, leaves the work to `regimes.commands`."""

from regimes.cli.app import app, main

__all__ = ["app", "main"]
