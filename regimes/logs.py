"""The program's log: readable lines in a terminal, JSON otherwise, secrets masked."""

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Final, Literal, TextIO

import structlog
from pydantic import BaseModel, ConfigDict, Field

from regimes.errors import ConfigError
from regimes.redact import Redactor

# Libraries whose debug lines hold whole answers of an exchange.
_TALKATIVE: Final = ("ccxt", "asyncio")
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


class LogSettings(BaseModel):
    """Where the log goes and how much it says."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    level: Level = Field(
        "INFO", description="Least severity that is logged; DEBUG says most. Environment: LOG_LEVEL."
    )
    file: Path | None = Field(
        None,
        description="File that gets the log as JSON lines instead of the terminal. Reopened when it is rotated "
        "away. Environment: LOG_FILE.",
    )


def configure(settings: LogSettings, *, redact: Redactor | None = None, stream: TextIO | None = None) -> None:
    """Send every structlog and standard logging line to one place.

    redact: masks what must never appear; without one only what looks like a secret. stream: where lines go without a file; standard error by default.
    Raises ConfigError when the log file cannot be written.
    """
    handler = _handler(settings, stream or sys.stderr)
    terminal = settings.file is None and (stream or sys.stderr).isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(default=str)
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                (redact or Redactor()).processor,
                renderer,
            ],
        )
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(settings.level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))


def _handler(settings: LogSettings, stream: TextIO) -> logging.Handler:
    if settings.file is None:
        return logging.StreamHandler(stream)
    try:
        settings.file.parent.mkdir(parents=True, exist_ok=True)
        return logging.handlers.WatchedFileHandler(settings.file, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"log.file (LOG_FILE): {settings.file} cannot be written ({error.strerror}); "
            "name a file in a folder this user may write to"
        ) from error
