"""What the operator decides: the only reader of files and environment variables for settings."""

from regimes.config.load import load
from regimes.config.settings import Settings

__all__ = ["Settings", "load"]
