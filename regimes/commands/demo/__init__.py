"""`regimes demo`: the whole service against an exchange on loopback, in one process, on one clock."""

from regimes.commands.demo.options import Options
from regimes.commands.demo.run import execute

__all__ = ["Options", "execute"]
