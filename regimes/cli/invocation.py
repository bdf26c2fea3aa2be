"""What one start of the command line knows beside its options."""

from dataclasses import dataclass, field
from pathlib import Path

import typer

from regimes.config import Settings, load
from regimes.redact import Redactor


@dataclass
class Invocation:
    """config: the file named by `--config`. redact: masks the secrets of the settings once they are read."""

    config: Path | None = None
    redact: Redactor = field(default_factory=Redactor)


def invocation_of(context: typer.Context) -> Invocation:
    """Return what the commands of this start share."""
    return context.ensure_object(Invocation)


def settings_of(context: typer.Context) -> Settings:
    """Read the settings. Raises ConfigError."""
    invocation = invocation_of(context)
    settings = load(invocation.config)
    invocation.redact = Redactor.of(settings)
    return settings
