"""The program's log: readable lines in a terminal, JSON otherwise, secrets masked."""

import logging
import logging.handlers
import re
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, Final, Literal, TextIO

import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from regimes.errors import ConfigError

MASK: Final = "***"
_SECRET_KEY: Final = re.compile(r"secret|token|password|api_?key|signature|authorization", re.IGNORECASE)
_SECRET_IN_TEXT: Final = re.compile(
    r"((?:api_?key|secret|token|password|signature)['\"]?\s*[=:]\s*['\"]?)([^\s&'\"]+)", re.IGNORECASE
)
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


class Mask:
    """A structlog processor that hides known secrets and values under keys that sound like secrets."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        self._secrets = tuple(
            secret for secret in secrets if len(secret) > 3
        )  # shorter ones would mask words

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        return {key: MASK if _SECRET_KEY.search(key) else self._masked(value) for key, value in event.items()}

    def _masked(self, value: object) -> object:
        match value:
            case str():
                return self._text(value)
            case dict():
                return {k: MASK if _SECRET_KEY.search(str(k)) else self._masked(v) for k, v in value.items()}
            case list() | tuple():
                return [self._masked(item) for item in value]
            case BaseException():
                return self._text(f"{type(value).__name__}: {value}")
            case _:
                return value

    def _text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return _SECRET_IN_TEXT.sub(rf"\1{MASK}", text)


def configure(settings: LogSettings, *, secrets: tuple[str, ...] = (), stream: TextIO | None = None) -> None:
    """Send every structlog and standard logging line to one place.

    secrets: values that must never appear. stream: where lines go without a file; standard error by default.
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
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, Mask(secrets), renderer],
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


def secrets_in(model: BaseModel) -> tuple[str, ...]:
    """Return every secret value a settings model holds, so that the log can hide it."""
    found: list[str] = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, SecretStr):
            found.append(value.get_secret_value())
        elif isinstance(value, BaseModel):
            found.extend(secrets_in(value))
    return tuple(found)
