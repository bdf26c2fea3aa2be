"""`regimes doctor`: what is wrong with this machine, this configuration, this network, and what to do."""

from regimes.commands.doctor.run import execute

__all__ = ["execute"]
