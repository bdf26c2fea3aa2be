"""Tells, in seconds, what regime the crypto market is in."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regimes.config import Settings, load as load_settings
    from regimes.pipeline import Pipeline

__version__ = "0.1.0"
__all__ = ["Pipeline", "Settings", "__version__", "load_settings"]


def __getattr__(name: str) -> Any:
    """Import the large parts only when somebody asks for them."""
    match name:
        case "Pipeline":
            from regimes.pipeline import Pipeline  # noqa: PLC0415

            return Pipeline
        case "Settings":
            from regimes.config import Settings  # noqa: PLC0415

            return Settings
        case "load_settings":
            from regimes.config import load  # noqa: PLC0415

            return load
        case _:
            raise AttributeError(f"module 'regimes' has no attribute {name!r}")
