import asyncio
from pathlib import Path

import pytest

from regimes.errors import StorageError
from regimes.storage.base import Step
from regimes.storage.database import Database
from regimes.storage.migrate import Migration, shipped
from regimes.storage.postgres import PostgresStorage
from regimes.storage.sqlite import SqliteStorage

from .samples import event, liquidation

ALL = list(shipped())


class Place:
    """Where a database is, whatever release opens it."""

    def __init__(self, kind: str, where: str) -> None:
        self._kind, self._where = kind, where

    def open_with(self, migrations: list[Migration]) -> Database:
        if self._kind == "sqlite":
            return SqliteStorage(Path(self._where), migrations)
        return PostgresStorage(self._where, migrations=migrations)


@pytest.fixture(params=["sqlite", "postgres"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place("sqlite", str(tmp_path / "local.db"))
    return Place("postgres", await request.getfixturevalue("postgres_server").new_place())


def test_steps_are_numbered_without_a_gap() -> None:
    assert [step.version for step in ALL] == list(range(1, len(ALL) + 1))
    assert all(step.statements for step in ALL)


async def test_an_older_database_is_brought_up_and_keeps_its_rows(place: Place) -> None:
    old = place.open_with(ALL[:1])
    await old.open()
    await old.commit(Step(events=[event()], state={"engine": b"1"}))
    await old.close()
    new = place.open_with(ALL)
    await new.open()
    assert await new.event(event().id) == event()
    assert await new.load_state() == {"engine": b"1"}
    await new.add_liquidations([liquidation()])
    await new.flush()
    assert (await new.stats())["schema_version"] == ALL[-1].version
    await new.close()


async def test_a_database_of_a_newer_release_is_refused_and_untouched(place: Place) -> None:
    newer = place.open_with([*ALL, Migration(len(ALL) + 1, "later", ("CREATE TABLE later (n BIGINT)",))])
    await newer.open()
    await newer.commit(Step(state={"engine": b"1"}))
    await newer.close()
    with pytest.raises(StorageError, match=rf"schema version {len(ALL) + 1}, newer than the {len(ALL)}"):
        await place.open_with(ALL).open()
    await newer.open()
    assert await newer.load_state() == {"engine": b"1"}
    await newer.close()


async def test_a_step_that_fails_leaves_the_older_schema_whole(place: Place) -> None:
    old = place.open_with(ALL[:1])
    await old.open()
    await old.commit(Step(state={"engine": b"1"}))
    await old.close()
    broken = Migration(2, "broken", ("CREATE TABLE half (n BIGINT)", "CREATE TABLE half (n BIGINT)"))
    with pytest.raises(StorageError):
        await place.open_with([ALL[0], broken]).open()
    fine = place.open_with([ALL[0], Migration(2, "fine", ("CREATE TABLE half (n BIGINT)",))])
    await fine.open()
    assert await fine.load_state() == {"engine": b"1"}
    await fine.close()


async def test_several_services_starting_at_once_bring_it_up_together(place: Place) -> None:
    services = [place.open_with(ALL) for _ in range(4)]
    await asyncio.gather(*(service.open() for service in services))
    await services[0].commit(Step(state={"engine": b"1"}))
    assert await services[3].load_state() == {"engine": b"1"}
    for service in services:
        await service.close()
