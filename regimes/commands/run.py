"""`regimes run`: the service."""

from collections.abc import Callable
from typing import Final

import structlog

from regimes.commands.running import allow_open_files, run_to_end
from regimes.config import Settings
from regimes.logs import configure
from regimes.redact import Redactor, secrets_in
from regimes.service import serve

BESIDES_STREAMS: Final = 1_000
"""Connections and files besides the streams of the dashboard, generously."""
_log = structlog.get_logger()


def execute(settings: Settings, read: Callable[[], Settings]) -> None:
    """Set the log up and serve until told to stop. read: reads the settings anew, for SIGHUP."""
    redact = Redactor.of(settings)
    configure(settings.log, redact=redact)
    files = allow_open_files()
    if settings.web.enabled and files < settings.web.max_streams + BESIDES_STREAMS:
        _log.warning("few_open_files", allowed=files, remedy="raise `ulimit -n`, or lower web.max_streams")
    run_to_end(serve(settings, read=read, learn=lambda found: redact.learn(secrets_in(found))))
