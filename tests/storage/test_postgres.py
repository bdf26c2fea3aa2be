import asyncio
import traceback

import asyncpg
import pytest

from regimes.errors import StorageError
from regimes.storage.base import Step, StorageAwayError
from regimes.storage.postgres import POOL_SIZE, PostgresStorage
from regimes.storage.session import Session, marks, numbered

from .conftest import NOBODY_THERE
from .postgres_server import PrivatePostgres
from .samples import event


def test_parameters_are_numbered_in_order() -> None:
    assert numbered(f"SELECT ? WHERE a IN ({marks(3)}) LIMIT ?") == (
        "SELECT $1 WHERE a IN ($2, $3, $4) LIMIT $5"
    )
    assert numbered("SELECT 1") == "SELECT 1"


async def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    with pytest.raises(StorageAwayError, match=r"regimes at 127\.0\.0\.1:1 cannot be reached") as away:
        await PostgresStorage(NOBODY_THERE).open()
    assert "secret" not in "".join(traceback.format_exception(away.value))


async def test_a_database_that_does_not_exist_is_not_taken_for_an_outage(
    postgres_server: PrivatePostgres,
) -> None:
    with pytest.raises(StorageError, match="refuses us") as refused:
        await PostgresStorage(postgres_server.url("nowhere")).open()
    assert not isinstance(refused.value, StorageAwayError)


async def test_a_server_that_hangs_counts_as_away_after_the_timeout(mortal: PrivatePostgres) -> None:
    storage = PostgresStorage(await mortal.new_place(), timeout_s=0.5)
    await storage.open()
    await storage.commit(Step(state={"engine": b"1"}))
    mortal.freeze()
    started = asyncio.get_running_loop().time()
    calls = [storage.commit(Step(state={"engine": b"2"})) for _ in range(2 * POOL_SIZE)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result) for result in results} == {StorageAwayError}
    assert asyncio.get_running_loop().time() - started < 5
    mortal.thaw()
    await storage.commit(Step(state={"engine": b"3"}))
    assert await storage.load_state() == {"engine": b"3"}
    await storage.close()


async def test_a_killed_server_is_away_and_used_again_when_it_is_back(mortal: PrivatePostgres) -> None:
    storage = PostgresStorage(await mortal.new_place())
    await storage.open()
    await storage.commit(Step(events=[event()]))
    mortal.kill()
    with pytest.raises(StorageAwayError):
        await storage.commit(Step(events=[event(1)]))
    mortal.start()
    await storage.commit(Step(events=[event(2)]))
    assert await storage.event(event().id) == event()
    assert await storage.event(event(1).id) is None
    await storage.close()


async def test_transactions_that_block_each_other_are_run_again(postgres_server: PrivatePostgres) -> None:
    storage = PostgresStorage(await postgres_server.new_place())
    await storage.open()
    await storage.commit(Step(state={"a": b"0", "b": b"0"}))
    both_hold = asyncio.Barrier(2)
    runs: list[str] = []

    async def update(session: Session, first: str, second: str) -> None:
        runs.append(first)
        sql = "UPDATE engine_state SET body = ? WHERE name = ?"
        await session.run(sql, first.encode(), first)
        if len(runs) <= 2:
            await both_hold.wait()
        await session.run(sql, first.encode(), second)

    await asyncio.gather(
        storage.write(lambda session: update(session, "a", "b")),
        storage.write(lambda session: update(session, "b", "a")),
    )
    assert len(runs) == 3
    state = await storage.load_state()
    assert state["a"] == state["b"]
    await storage.close()


async def test_a_caller_that_gives_up_leaves_nothing_behind(postgres_server: PrivatePostgres) -> None:
    storage = PostgresStorage(await postgres_server.new_place())
    await storage.open()
    inside = asyncio.Event()

    async def never_ends(session: Session) -> None:
        await session.run("INSERT INTO endpoints (name, state) VALUES (?, ?)", "half", b"")
        inside.set()
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(storage.write(never_ends)) for _ in range(1)]
    await inside.wait()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert await storage.endpoints() == {}
    for n in range(2 * POOL_SIZE):
        await storage.put_endpoint(f"e{n}", b"")
    await storage.close()


async def test_a_read_only_server_counts_as_away(postgres_server: PrivatePostgres) -> None:
    name = await postgres_server.new_database()
    url = postgres_server.url(name)
    admin = await asyncpg.connect(url)
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await admin.close()
    with pytest.raises(StorageAwayError):
        await PostgresStorage(url).open()


async def test_a_storage_that_is_not_open_says_so() -> None:
    with pytest.raises(StorageAwayError, match="is not connected"):
        await PostgresStorage(NOBODY_THERE).commit(Step())
