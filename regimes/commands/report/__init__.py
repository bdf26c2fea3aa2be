"""`regimes report`."""

from regimes.commands.report.run import execute

__all__ = ["execute"]
