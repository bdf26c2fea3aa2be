"""`regimes test-webhooks`: one of each event to the endpoints that would get it, each answer shown."""

from regimes.commands.webhooks.run import execute

__all__ = ["execute"]
