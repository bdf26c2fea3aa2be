from pathlib import Path

import pytest

from regimes.clock import ScaledClock
from regimes.errors import ConfigError
from regimes.storage.factory import storage_for
from regimes.storage.failover import FailoverStorage
from regimes.storage.sqlite import SqliteStorage


@pytest.mark.parametrize(
    ("url", "path"), [("sqlite:///local.db", "local.db"), ("sqlite:////var/lib/x.db", "/var/lib/x.db")]
)
def test_sqlite_urls_name_a_file(url: str, path: str, clock: ScaledClock) -> None:
    storage = storage_for(url, clock=clock)
    assert isinstance(storage, SqliteStorage)
    assert storage.path == Path(path)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (
            "postgresql://user:s3cret@db.example:6543/regimes",
            "PostgreSQL database regimes at db.example:6543",
        ),
        ("postgres://user:s3cret@db.example/regimes", "PostgreSQL database regimes at db.example:5432"),
        (
            "postgresql://u:s3cret@one:6543,[::1],two/regimes",
            "PostgreSQL database regimes at one:6543, [::1]:5432, two:5432",
        ),
        (
            "postgresql://u:s3cret@/regimes?host=/run/one,/run/two&port=1,2",
            "PostgreSQL database regimes at /run/one:1, /run/two:2",
        ),
        ("postgresql://u:s3cret@/regimes?host=/run/pg", "PostgreSQL database regimes at /run/pg:5432"),
    ],
)
def test_postgresql_urls_come_with_a_spool_and_are_named_without_credentials(
    url: str, place: str, clock: ScaledClock, tmp_path: Path
) -> None:
    storage = storage_for(url, clock=clock, spool=tmp_path / "spool.db")
    assert isinstance(storage, FailoverStorage)
    assert storage.primary.place == place
    assert storage.local.path == tmp_path / "spool.db"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "local.db",
        "sqlite://local.db",
        "sqlite:///",
        "mysql://user:s3cret@host/db",
        "postgresql://user:s3cret@host",
        "postgresql://user:s3c/ret@host:5432/db",
        "postgresql://user:s3cret@host:port/db",
        "postgresql://user:s3cret@one:5432,/db",
        "postgresql://user:s3cret@one:5432,two:port/db",
        "postgresql://user:s3cret@/db?host=a,b,c&port=1,2",
    ],
)
def test_anything_else_is_refused_with_words_that_hold_no_secret(url: str, clock: ScaledClock) -> None:
    with pytest.raises(ConfigError, match="DB_URL must be") as refused:
        storage_for(url, clock=clock)
    assert "s3c" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_the_folder_of_the_spool_is_made(clock: ScaledClock, tmp_path: Path) -> None:
    spool = tmp_path / "state" / "of" / "mine" / "spool.db"
    storage_for("postgresql://user@db.example/regimes", clock=clock, spool=spool)
    assert spool.parent.is_dir()
