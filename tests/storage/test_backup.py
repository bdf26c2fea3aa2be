"""A backup is one moment of a database in use; what is restored is that moment, whole, or nothing is changed."""

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from regimes.clock import ScaledClock
from regimes.commands import backup as commands
from regimes.config import Settings
from regimes.config.settings import Origin, settings_type
from regimes.errors import ConfigError, StorageError
from regimes.storage import copy_postgres
from regimes.storage.base import Step
from regimes.storage.database import Database
from regimes.storage.migrate import Migration, shipped
from regimes.storage.postgres import PostgresStorage
from regimes.storage.session import Session
from regimes.storage.sqlite import SqliteStorage

from .postgres_server import PrivatePostgres
from .samples import event, liquidation
from .test_kill import last_acknowledged, writer, written

ALL = list(shipped())
ROOT = Path("/")


class Place:
    """An empty database and the settings that name it; `fresh` is another one."""

    def __init__(self, kind: str, urls: list[str], tools: Path = ROOT) -> None:
        self.kind = kind
        self.url, self._other = urls
        self._tools = tools
        self._environ = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}

    @property
    def fresh(self) -> "Place":
        return Place(self.kind, [self._other, self._other], self._tools)

    @property
    def settings(self) -> Settings:
        return settings_type()().replaced(Origin("test", ""), storage={"url": self.url})

    def database(self, migrations: list[Migration] | None = None) -> Database:
        if self.kind == "sqlite":
            return SqliteStorage(Path(self.url.removeprefix("sqlite:///")), migrations)
        return PostgresStorage(self.url, migrations=migrations)

    async def fill(self, step: Step, migrations: list[Migration] | None = None) -> None:
        database = self.database(migrations)
        await database.open()
        await database.commit(step)
        await database.close()

    async def state(self, migrations: list[Migration] | None = None) -> dict[str, bytes]:
        database = self.database(migrations)
        await database.open()
        try:
            return dict(await database.load_state())
        finally:
            await database.close()

    async def back_up(self, to: Path) -> Path:
        await asyncio.to_thread(commands.back_up, self.settings, to, environ=self._environ)
        return to

    async def restore(self, copy: Path, *, replace: bool = False) -> None:
        await asyncio.to_thread(commands.restore, self.settings, copy, replace=replace, environ=self._environ)


@pytest.fixture(params=["sqlite", "postgres"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "sqlite":
        yield Place("sqlite", [f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "two")])
        return
    server: PrivatePostgres = request.getfixturevalue("postgres_server")
    yield Place("postgres", [server.url(await server.new_database()) for _ in range(2)], server.tools)


async def test_a_backup_taken_under_load_is_one_moment_and_comes_back_whole(
    place: Place, tmp_path: Path, clock: ScaledClock
) -> None:
    async with writer(place.url, tmp_path / "spool.db", 0) as process:
        assert process.stdout is not None
        for _ in range(50):
            before = int(await asyncio.wait_for(process.stdout.readline(), 30))
        copy = await place.back_up(tmp_path / "backup")
        assert process.returncode is None
        after = await last_acknowledged(process, 1)
    assert after > before, "it wrote on while the backup was taken"
    await place.fresh.restore(copy)
    restored = place.fresh.database()
    await restored.open()
    count = await written(restored)
    assert before < count <= after + 1
    await restored.close()


async def test_what_is_restored_equals_what_was_backed_up_in_every_table(
    place: Place, tmp_path: Path
) -> None:
    database = place.database()
    await database.open()
    await database.commit(Step(events=[event()], state={"engine": bytes(range(256))}))
    await database.add_liquidations([liquidation(1), liquidation(2, price=0.1 + 0.2)])
    await database.close()
    copy = await place.back_up(tmp_path / "backup")
    await place.fresh.restore(copy)
    assert await rows(place) == await rows(place.fresh)


async def _all(session: Session, table: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in await session.rows(f"SELECT * FROM {table}")), key=repr)  # noqa: S608  # our own


async def rows(place: Place) -> dict[str, Any]:
    database = place.database()
    await database.open()
    try:
        return {
            table: await database.read(partial(_all, table=table)) for table in copy_postgres.known_tables()
        }
    finally:
        await database.close()


async def test_a_backup_is_its_owners_alone(place: Place, tmp_path: Path) -> None:
    await place.fill(Step(state={"n": b"1"}))
    copy = await place.back_up(tmp_path / "backup")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert not (tmp_path / ".backup.part").exists()


async def test_data_is_replaced_only_when_that_is_asked_for(place: Place, tmp_path: Path) -> None:
    await place.fill(Step(state={"n": b"1"}))
    copy = await place.back_up(tmp_path / "backup")
    await place.fill(Step(state={"n": b"2"}))
    with pytest.raises(StorageError, match="--replace"):
        await place.restore(copy)
    assert await place.state() == {"n": b"2"}
    await place.restore(copy, replace=True)
    assert await place.state() == {"n": b"1"}


async def test_a_database_in_use_is_not_replaced(place: Place, tmp_path: Path) -> None:
    await place.fill(Step(state={"n": b"1"}))
    copy = await place.back_up(tmp_path / "backup")
    running = place.database()
    await running.open()
    await running.commit(Step(state={"n": b"2"}))
    with pytest.raises(StorageError, match="in use: stop the service first"):
        await place.restore(copy, replace=True)
    await running.commit(Step(state={"more": b"3"}))
    assert await running.load_state() == {"n": b"2", "more": b"3"}
    await running.close()


async def test_an_upgrade_is_taken_back_by_restoring_the_backup_made_before_it(
    place: Place, tmp_path: Path
) -> None:
    older = ALL[:-1]
    await place.fill(Step(state={"n": b"1"}), older)
    copy = await place.back_up(tmp_path / "backup")
    await place.fill(Step(state={"n": b"2"}))  # the newer release starts: it brings the schema up to date
    with pytest.raises(StorageError, match="newer than"):
        await place.state(older)
    await place.restore(copy, replace=True)
    assert await place.state(older) == {"n": b"1"}
    assert await place.state() == {"n": b"1"}, "and the newer release can be tried again"


async def test_a_backup_leaves_the_schema_of_an_older_release_as_it_is(place: Place, tmp_path: Path) -> None:
    await place.fill(Step(state={"n": b"1"}), ALL[:1])
    await place.back_up(tmp_path / "backup")
    assert await place.state(ALL[:1]) == {"n": b"1"}


async def test_a_backup_of_a_newer_release_is_refused(place: Place, tmp_path: Path) -> None:
    later = Migration(len(ALL) + 1, "later", ("CREATE TABLE later (n BIGINT)",))
    await place.fill(Step(state={"n": b"1"}), [*ALL, later])
    copy = await place.back_up(tmp_path / "backup")
    with pytest.raises(StorageError, match="install a newer release"):
        await place.fresh.restore(copy)


async def test_a_damaged_backup_changes_nothing(place: Place, tmp_path: Path) -> None:
    big = {f"n{number}": os.urandom(20_000) for number in range(50)}
    await place.fill(Step(state=big))
    copy = await place.back_up(tmp_path / "backup")
    content = bytearray(copy.read_bytes())
    middle = len(content) // 2
    copy.write_bytes(content[:middle])
    with pytest.raises(StorageError):
        await place.restore(copy, replace=True)
    assert await place.state() == big


async def test_a_file_that_is_there_is_not_overwritten(place: Place, tmp_path: Path) -> None:
    await place.fill(Step(state={"n": b"1"}))
    (tmp_path / "backup").write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        await place.back_up(tmp_path / "backup")
    assert (tmp_path / "backup").read_text() == "mine"


async def test_where_there_is_no_database_there_is_no_backup(place: Place, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="start `regimes run` once"):
        await place.back_up(tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


async def test_a_file_that_is_no_backup_is_refused(place: Place, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("not a backup")
    with pytest.raises(ConfigError, match="is no backup"):
        await place.restore(tmp_path / "notes")
    with pytest.raises(ConfigError, match="cannot be read"):
        await place.restore(tmp_path / "nothing")


async def test_a_sqlite_file_of_another_program_is_refused(tmp_path: Path) -> None:
    foreign = sqlite3.connect(tmp_path / "foreign.db")
    foreign.execute("CREATE TABLE notes (text TEXT)")
    foreign.close()
    place = Place("sqlite", [f"sqlite:///{tmp_path}/one.db"] * 2)
    with pytest.raises(StorageError, match="none of this program"):
        await place.restore(tmp_path / "foreign.db")


async def test_a_backup_of_the_other_kind_is_refused(place: Place, tmp_path: Path) -> None:
    await place.fill(Step(state={"n": b"1"}))
    copy = await place.back_up(tmp_path / "backup")
    other = "postgresql://u:p@127.0.0.1:1/d" if place.kind == "sqlite" else f"sqlite:///{tmp_path}/other.db"
    with pytest.raises(ConfigError, match="DB_URL names a"):
        await Place("other", [other, other]).restore(copy)


async def test_without_the_tools_of_postgresql_it_says_what_to_install(
    postgres_server: PrivatePostgres, tmp_path: Path
) -> None:
    place = Place("postgres", [postgres_server.url(await postgres_server.new_database())] * 2)
    await place.fill(Step(state={"n": b"1"}))
    with pytest.raises(StorageError, match=r"pg_dump is not installed.*postgresql-client"):
        await asyncio.to_thread(
            commands.back_up, place.settings, tmp_path / "backup", environ={"PATH": str(tmp_path)}
        )


def test_a_url_becomes_variables_that_nobody_else_can_see() -> None:
    url = "postgresql://us%40er:p%2Fw@db.example:6432/name?sslmode=require&search_path=a b"
    assert copy_postgres.variables_of(url) == {
        "PGHOST": "db.example",
        "PGPORT": "6432",
        "PGUSER": "us@er",
        "PGPASSWORD": "p/w",
        "PGDATABASE": "name",
        "PGSSLMODE": "require",
        "PGOPTIONS": "-c search_path=a\\ b",
        "PGAPPNAME": "regimes backup",
    }


def test_a_url_with_several_servers_leads_the_tools_to_the_one_that_takes_writes() -> None:
    url = "postgresql://user@one:6432,[::1],two/name"
    assert copy_postgres.variables_of(url) == {
        "PGHOST": "one,::1,two",
        "PGPORT": "6432,5432,5432",
        "PGUSER": "user",
        "PGDATABASE": "name",
        "PGTARGETSESSIONATTRS": "read-write",
        "PGAPPNAME": "regimes backup",
    }


def test_every_table_of_the_schema_is_known() -> None:
    assert len(copy_postgres.known_tables()) == 1 + sum(
        text.startswith("CREATE TABLE") for step in ALL for text in step.statements
    )
