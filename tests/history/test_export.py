"""Tables to Parquet, the same from both databases."""

import json
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import polars as pl
import pytest

from regimes.alerting.records import Action, Decision, Reason
from regimes.errors import ConfigError, StorageError
from regimes.history.backfill.table import Span
from regimes.history.export import export
from regimes.observations import Liquidation
from regimes.storage.base import ReadingRow, Step
from regimes.storage.database import Database
from regimes.storage.dump import DUMPED, dump_table
from regimes.storage.postgres import PostgresStorage
from regimes.storage.session import Session
from regimes.storage.sqlite import SqliteStorage
from regimes.storage.sqlite_thread import SqliteSession
from tests.storage.postgres_server import PrivatePostgres
from tests.storage.samples import NOW_MS, attempt, delivered, delivery, event

EVER = Span(0, 2**60)


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[PrivatePostgres]:
    server = PrivatePostgres()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    store: Database
    if request.param == "sqlite":
        store = SqliteStorage(tmp_path / "local.db")
    else:
        server: PrivatePostgres = request.getfixturevalue("postgres_server")
        store = PostgresStorage(await server.new_place())
    await store.open()
    yield store
    await store.close()


def liquidations(count: int) -> list[Liquidation]:
    return [
        Liquidation(NOW_MS + n // 3, "binanceusdm", f"C{n % 7}/USDT", "long", 100.0 + n, 0.5, 50.0 + n / 2)
        for n in range(count)
    ]


async def fill(database: Database, count: int = 250) -> None:
    await database.add_liquidations(liquidations(count))
    await database.add_readings(
        [
            ReadingRow(NOW_MS + n, "volatility_regime", f"C{n % 3}/USDT", b'{"status":"ok","n":%d}' % n)
            for n in range(count)
        ]
    )
    await database.flush()
    states = [event(revision=revision) for revision in range(3)]
    chosen = Decision(
        event_id=states[0].id, revision=0, endpoint="chat", action=Action.SEND, reason=next(iter(Reason)), words="é",
        ts_ms=NOW_MS,
    )  # fmt: skip
    await database.commit(Step(events=states, decisions=[chosen], deliveries=[delivery()]))
    await database.claim("chat", now_ms=NOW_MS, lease_ms=1000, limit=1)
    await database.settle(attempt(), delivered("m1"))


async def test_every_table_becomes_a_file_with_all_its_rows(database: Database, tmp_path: Path) -> None:
    await fill(database)
    rows = {
        name: (await export(database, table, tmp_path / "out", EVER)).rows for name, table in DUMPED.items()
    }
    assert rows == {
        "market_events": 3,
        "decisions": 1,
        "deliveries": 1,
        "webhook_logs": 1,
        "silences": 0,
        "liquidations": 250,
        "readings": 250,
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        f"{name}.parquet" for name in rows
    )
    frames = {name: pl.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in rows}
    assert {name: len(frame) for name, frame in frames.items()} == rows
    assert [json.loads(body)["revision"] for body in frames["market_events"]["body"]] == [0, 1, 2]
    assert frames["deliveries"]["message"].to_list() == ['{"title":"é"}']
    assert frames["webhook_logs"].row(0, named=True)["status_code"] == 503
    assert frames["silences"].schema == pl.read_parquet(tmp_path / "out/silences.parquet").schema


async def test_pages_lose_and_double_nothing_whatever_their_size(database: Database, tmp_path: Path) -> None:
    await fill(database)
    told: list[int] = []
    for rows in (1, 7, 250, 1000):
        await export(
            database, DUMPED["liquidations"], tmp_path, EVER, page_rows=rows,
            progress=lambda _, count: told.append(count),
        )  # fmt: skip
        found = pl.read_parquet(tmp_path / "liquidations.parquet").rows()
        assert sorted(found) == sorted(msgspec.structs.astuple(one) for one in liquidations(250))
        assert [row[0] for row in found] == sorted(row[0] for row in found)
    assert told[-2:] == [250, 250]


async def test_only_the_rows_of_the_span_are_written(database: Database, tmp_path: Path) -> None:
    await fill(database)
    span = Span(NOW_MS + 10, NOW_MS + 20)
    done = await export(database, DUMPED["readings"], tmp_path, span, page_rows=3)
    assert done.rows == 10
    times = pl.read_parquet(done.path)["ts_ms"]
    assert sorted(times.to_list()) == list(range(NOW_MS + 10, NOW_MS + 20))


async def test_an_older_file_is_replaced_and_stays_when_the_database_goes_away(
    database: Database, tmp_path: Path
) -> None:
    await fill(database)
    first = await export(database, DUMPED["readings"], tmp_path, Span(0, NOW_MS + 5))
    assert len(pl.read_parquet(first.path)) == 5
    second = await export(database, DUMPED["readings"], tmp_path, EVER)
    assert len(pl.read_parquet(second.path)) == 250
    await database.close()
    with pytest.raises(StorageError):
        await export(database, DUMPED["readings"], tmp_path, EVER)
    assert len(pl.read_parquet(second.path)) == 250
    assert not (tmp_path / ".export").exists()


async def test_every_column_of_every_exported_table_is_in_the_schema(database: Database) -> None:
    for name, table in DUMPED.items():
        found = await database.read(_columns(name))
        left_out = {"lease_until_ms"}  # a lock, no fact
        assert set(table.columns) == found - left_out, name


def _columns(name: str) -> Callable[[Session], Awaitable[set[str]]]:
    async def read(session: Session) -> set[str]:
        if isinstance(session, SqliteSession):
            return {row[1] for row in await session.rows(f"PRAGMA table_info({name})")}
        sql = "SELECT column_name FROM information_schema.columns WHERE table_name = ?"
        return {row[0] for row in await session.rows(sql, name)}

    return read


def test_a_table_that_is_none_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no table 'engine_state' to export; there are market_events, "):
        dump_table("engine_state")


async def test_memory_is_a_page_whatever_the_length(tmp_path: Path) -> None:
    database = SqliteStorage(tmp_path / "local.db")
    await database.open()
    body = b'{"x":"' + b"y" * 2000 + b'"}'
    for first in range(0, 60_000, 10_000):
        rows = [ReadingRow(NOW_MS + n, "f", "s", body) for n in range(first, first + 10_000)]
        await database.add_readings(rows)
        await database.flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = await export(database, DUMPED["readings"], tmp_path, EVER, page_rows=2_000)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    await database.close()
    assert done.rows == 60_000
    # 120 MB of bodies; a page of them is 4 MB.
    assert grown_mb < 60, grown_mb
