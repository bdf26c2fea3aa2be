"""The service's database, opened by a second process: while the service runs, and while it does not."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from regimes.commands.running import run_to_end
from regimes.config import Settings
from regimes.errors import StorageError
from regimes.logs import LogSettings, configure
from regimes.redact import Redactor
from regimes.storage.base import Storage
from regimes.storage.factory import database_for
from regimes.storage.sqlite import SqliteStorage

Result = TypeVar("Result")


def with_database(settings: Settings, work: Callable[[Storage], Awaitable[Result]]) -> Result:
    """Run some work on the configured database and close it.

    Raises ConfigError for a wrong DB_URL, StorageError where there is no database yet or it cannot be reached.
    """
    configure(LogSettings(level="WARNING"), redact=Redactor.of(settings))
    return run_to_end(_with(settings, work))


async def _with(settings: Settings, work: Callable[[Storage], Awaitable[Result]]) -> Result:
    database = database_for(settings.storage.url.get_secret_value())
    if isinstance(database, SqliteStorage) and not database.path.exists():
        raise StorageError(
            f"there is no database {database.path.absolute()} yet: start `regimes run` once, or set DB_URL to the "
            "database of the service"
        )
    await database.open()
    try:
        return await work(database)
    finally:
        await database.close()
