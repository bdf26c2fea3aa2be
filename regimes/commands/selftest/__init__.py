"""`regimes selftest`: does this installation compute and receive what it should?"""

from regimes.commands.selftest.run import execute

__all__ = ["execute"]
