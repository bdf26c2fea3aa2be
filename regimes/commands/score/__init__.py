"""`regimes score`."""

from regimes.commands.score.run import execute

__all__ = ["execute"]
