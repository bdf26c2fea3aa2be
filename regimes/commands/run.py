"""`regimes run`: the service."""

from collections.abc import Callable

from regimes.commands.running import run_to_end
from regimes.config import Settings
from regimes.logs import configure
from regimes.redact import Redactor, secrets_in
from regimes.service import serve


def execute(settings: Settings, read: Callable[[], Settings]) -> None:
    """Set the log up and serve until told to stop. read: reads the settings anew, for SIGHUP."""
    redact = Redactor.of(settings)
    configure(settings.log, redact=redact)
    run_to_end(serve(settings, read=read, learn=lambda found: redact.learn(secrets_in(found))))
