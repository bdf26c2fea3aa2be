"""Tells, in seconds, what regime the crypto market is in."""

__version__ = "0.1.0"
