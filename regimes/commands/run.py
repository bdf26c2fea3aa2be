"""`regimes run`: the service."""

from regimes.commands.running import run_to_end
from regimes.config import Settings
from regimes.logs import configure
from regimes.redact import Redactor
from regimes.service import serve


def execute(settings: Settings) -> None:
    """Set the log up and serve until told to stop."""
    configure(settings.log, redact=Redactor.of(settings))
    run_to_end(serve(settings))
