import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from regimes.alerting.records import Silence
from regimes.clock import ScaledClock
from regimes.errors import StorageError
from regimes.storage import spool
from regimes.storage.base import EventQuery, ReadingRow, Step, StorageAwayError
from regimes.storage.changes import Commit
from regimes.storage.failover import FailoverStorage
from regimes.storage.migrate import Migration, shipped
from regimes.storage.postgres import PostgresStorage
from regimes.storage.session import Session
from regimes.storage.sqlite import SqliteStorage

from .conftest import NOBODY_THERE
from .postgres_server import PrivatePostgres
from .samples import (
    LEASE_MS,
    NOW_MS,
    attempt,
    decision,
    delivered,
    deliveries,
    delivery,
    event,
    liquidation,
    retry,
)


class Watch:
    """Hears when the server goes and comes."""

    def __init__(self) -> None:
        self.heard: list[int | None] = []
        self._turn = asyncio.Event()

    def __call__(self, down_since_ms: int | None) -> None:
        self.heard.append(down_since_ms)
        self._turn.set()

    async def until_back(self) -> None:
        await self._until(lambda: bool(self.heard) and self.heard[-1] is None)

    async def until_gone(self) -> None:
        await self._until(lambda: bool(self.heard) and self.heard[-1] is not None)

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._turn.clear()
            await asyncio.wait_for(self._turn.wait(), 60)


@pytest.fixture
def watch() -> Watch:
    return Watch()


Build = Callable[..., Awaitable[FailoverStorage]]


@pytest.fixture
async def build(tmp_path: Path, clock: ScaledClock, watch: Watch) -> AsyncIterator[Build]:
    """Opens failover storages on the same spool; closes at the end what is still open."""
    opened: list[FailoverStorage] = []

    async def make(
        url: str, timeout_s: float = 1, limit_bytes: int = 1 << 30, mirror_s: float = 3_600
    ) -> FailoverStorage:
        storage = FailoverStorage(
            PostgresStorage(url, timeout_s=timeout_s),
            SqliteStorage(tmp_path / "spool.db"),
            clock,
            on_state=watch,
            retry_s=0.05,
            mirror_s=mirror_s,
            limit_bytes=limit_bytes,
        )
        await storage.open()
        opened.append(storage)
        return storage

    yield make
    for storage in opened:
        await storage.close()


async def claimed(storage: FailoverStorage | PostgresStorage, at_ms: int = NOW_MS) -> list[str]:
    taken = await storage.claim("chat", now_ms=at_ms, lease_ms=LEASE_MS, limit=1_000)
    return [d.id for d in taken]


async def ids_in(url: str) -> list[str]:
    """What the server itself holds, oldest first."""
    server = PostgresStorage(url)
    await server.open()
    found = await server.deliveries(event_id=None, status=None, limit=100_000)
    await server.close()
    return [d.id for d in reversed(found)]


async def test_what_is_written_while_the_server_is_dead_flows_back(
    build: Build, mortal: PrivatePostgres, watch: Watch
) -> None:
    url = await mortal.new_place()
    storage = await build(url)
    opened, closed = event(), event(revision=1, title="over")
    await storage.commit(Step(events=[opened], deliveries=[delivery("before")], state={"engine": b"1"}))
    mortal.kill()
    await storage.commit(
        Step(
            events=[closed],
            decisions=[decision(closed.id)],
            deliveries=[delivery("during", created_ms=NOW_MS + 1)],
            state={"engine": b"2"},
        )
    )
    await storage.put_endpoint("chat", b"open")
    await storage.put_silence(Silence(id="s", created_ms=1, until_ms=2))
    await storage.add_liquidations([liquidation()])
    await storage.add_readings([ReadingRow(NOW_MS, "f", "s", b"r")])
    await storage.flush()
    assert await storage.load_state() == {"engine": b"2"}
    (down_since_ms,) = watch.heard
    assert down_since_ms is not None
    assert down_since_ms >= NOW_MS
    mortal.start()
    await watch.until_back()
    assert watch.heard == [down_since_ms, None]
    assert await storage.event(opened.id) == closed
    assert list(await storage.states_after(opened.id, 0, limit=9) or []) == [closed]
    assert list(await storage.decisions(closed.id)) == [decision(closed.id)]
    assert await storage.load_state() == {"engine": b"2"}
    assert await storage.endpoints() == {"chat": b"open"}
    assert [s.id for s in await storage.silences()] == ["s"]
    assert len(await storage.liquidations(since_ms=0, symbol=None, limit=9)) == 1
    assert len(await storage.readings(feature="f", symbol="s", from_ms=0, to_ms=NOW_MS + 1, limit=9)) == 1
    assert await ids_in(url) == ["before", "during"]
    assert (await storage.local.stats())["rows"]["spool"] == 0


async def test_a_start_without_the_server_works_and_the_rest_follows(
    build: Build, mortal: PrivatePostgres, watch: Watch
) -> None:
    url = await mortal.new_place()
    mortal.kill()
    storage = await build(url)
    await storage.commit(Step(events=[event()], deliveries=[delivery()]))
    assert await claimed(storage) == ["d1"]
    await storage.settle(attempt(), delivered("m1"))
    mortal.start()
    await watch.until_back()
    (stored,) = await storage.deliveries(event_id=None, status="delivered", limit=9)
    assert (stored.id, stored.provider_message_id) == ("d1", "m1")
    assert len(await storage.attempts("d1")) == 1
    assert await claimed(storage, NOW_MS + 2 * LEASE_MS) == []


async def test_a_start_without_the_server_knows_what_the_last_run_knew(
    build: Build, mortal: PrivatePostgres
) -> None:
    storage = await build(await mortal.new_place())
    await storage.commit(Step(state={"engine": b"7"}))
    await storage.put_endpoint("chat", b"open")
    await storage.put_silence(Silence(id="s", created_ms=1, until_ms=2))
    await storage.put_silence(Silence(id="gone", created_ms=1, until_ms=2))
    await storage.delete_silence("gone")
    await storage.close()
    mortal.kill()
    again = await build(NOBODY_THERE)
    assert await again.load_state() == {"engine": b"7"}
    assert await again.endpoints() == {"chat": b"open"}
    assert [s.id for s in await again.silences()] == ["s"]
    assert (await again.events(EventQuery())).events == []


async def test_what_a_restart_needs_is_copied_while_the_server_serves(
    build: Build, postgres_server: PrivatePostgres
) -> None:
    storage = await build(await postgres_server.new_place(), mirror_s=0.001)
    async with asyncio.timeout(20):
        for n in range(50):
            # New names keep coming while the copy is written.
            await storage.put_endpoint(f"e{n}", b"open")
        await storage.commit(Step(state={"engine": b"7"}))
        while await storage.local.load_state() != {"engine": b"7"}:
            pass
    assert len(await storage.local.endpoints()) == 50
    assert (await storage.local.stats())["rows"]["spool"] == 0


async def test_the_server_going_away_takes_the_newest_state_along(
    build: Build, mortal: PrivatePostgres
) -> None:
    storage = await build(await mortal.new_place())
    await storage.commit(Step(state={"engine": b"1", "policy": b"p"}))
    mortal.kill()
    await storage.commit(Step(state={"engine": b"2"}))
    assert await storage.load_state() == {"engine": b"2", "policy": b"p"}


async def test_a_delivery_taken_from_the_spool_is_not_handed_out_by_the_server(
    build: Build, mortal: PrivatePostgres, watch: Watch
) -> None:
    url = await mortal.new_place()
    mortal.kill()
    storage = await build(url)
    await storage.commit(deliveries(delivery()))
    assert await claimed(storage) == ["d1"]
    mortal.start()
    await watch.until_back()
    assert await claimed(storage) == []
    assert await storage.next_due_ms("chat") == NOW_MS + LEASE_MS
    await storage.settle(attempt(), retry(NOW_MS + 5_000))
    assert await claimed(storage, NOW_MS + 5_000) == ["d1"]


async def test_a_delivery_taken_from_the_server_is_settled_through_the_spool(
    build: Build, mortal: PrivatePostgres, watch: Watch
) -> None:
    storage = await build(await mortal.new_place())
    await storage.commit(deliveries(delivery()))
    assert await claimed(storage) == ["d1"]
    mortal.kill()
    await storage.settle(attempt(), delivered("m1"))
    assert await claimed(storage, NOW_MS + 2 * LEASE_MS) == []
    mortal.start()
    await watch.until_back()
    assert await claimed(storage, NOW_MS + 2 * LEASE_MS) == []
    (stored,) = await storage.deliveries(event_id=None, status=None, limit=9)
    assert (stored.status, stored.provider_message_id) == ("delivered", "m1")


async def test_a_second_outage_does_not_hand_out_what_flowed_back_after_the_first(
    build: Build, mortal: PrivatePostgres, watch: Watch
) -> None:
    storage = await build(await mortal.new_place())
    mortal.kill()
    await storage.commit(deliveries(delivery("first")))
    mortal.start()
    await watch.until_back()
    mortal.kill()
    await storage.commit(deliveries(delivery("second")))
    assert await claimed(storage) == ["second"]
    mortal.start()
    await watch.until_back()
    assert await claimed(storage) == ["first"]


async def test_a_server_that_hangs_is_left_after_the_timeout_and_nothing_is_lost_or_doubled(
    build: Build, mortal: PrivatePostgres, watch: Watch
) -> None:
    url = await mortal.new_place()
    storage = await build(url, timeout_s=0.5)
    await storage.commit(Step(state={"engine": b"0"}))
    mortal.freeze()
    news = [delivery(f"d{n:02}", created_ms=NOW_MS + n) for n in range(20)]
    await asyncio.gather(*(storage.commit(deliveries(new)) for new in news))
    await storage.commit(Step(state={"engine": b"1"}))
    assert len(await claimed(storage, NOW_MS + 5)) == 20
    mortal.thaw()
    await watch.until_back()
    assert await ids_in(url) == [new.id for new in news]
    assert await storage.load_state() == {"engine": b"1"}
    assert await claimed(storage, NOW_MS + 5) == []


async def test_writing_goes_on_in_order_through_outages(
    build: Build, mortal: PrivatePostgres, watch: Watch
) -> None:
    """One state of one event at a time, while the server dies and comes back under it."""
    url = await mortal.new_place()
    storage = await build(url)

    stop = False

    async def write() -> int:
        for n in count():
            news = [delivery(f"d{n:06}", event_id="evt", revision=n, created_ms=NOW_MS + n)]
            await storage.commit(Step(events=[event(revision=n)], deliveries=news, state={"n": b"%d" % n}))
            await asyncio.sleep(0.002)
            if stop:
                return n
        raise AssertionError

    writing = asyncio.create_task(write())
    for _ in range(2):
        mortal.kill()
        await watch.until_gone()
        await asyncio.to_thread(mortal.start)
        await watch.until_back()
    stop = True
    last = await writing
    states = await storage.states_after(event().id, 0, limit=100_000)
    assert states is not None
    assert [state.revision for state in states] == list(range(1, last + 1))
    assert await ids_in(url) == [f"d{n:06}" for n in range(last + 1)]
    assert await storage.load_state() == {"n": b"%d" % last}


async def test_flowing_back_goes_on_where_it_was_interrupted(
    build: Build, mortal: PrivatePostgres, watch: Watch
) -> None:
    """A batch is in the server, but the spool was not told before the process died."""
    url = await mortal.new_place()
    mortal.kill()
    storage = await build(url)
    await storage.commit(Step(events=[event()], deliveries=[delivery()]))
    await storage.commit(Step(state={"engine": b"old"}))
    entries = await storage.local.read(lambda session: spool.waiting(session, 0))
    spool_id = await storage.local.write(spool.identity)
    await storage.close()
    mortal.start()
    server = PostgresStorage(url)
    await server.open()

    async def half(session: Session) -> int:
        return await spool.receive(session, spool_id, entries)

    await server.write(half)
    # Another instance has gone on since; the same entries once more would undo it.
    await server.commit(Step(state={"engine": b"new"}))
    assert await claimed(server) == ["d1"]
    await server.settle(attempt(), delivered())
    await server.close()
    again = await build(url)
    assert again.down_since_ms is None
    assert await again.load_state() == {"engine": b"new"}
    assert [d.status for d in await again.deliveries(event_id=None, status=None, limit=9)] == ["delivered"]


async def test_numbers_of_the_spool_are_never_used_twice(
    build: Build, mortal: PrivatePostgres, watch: Watch
) -> None:
    storage = await build(await mortal.new_place())
    for turn in range(3):
        mortal.kill()
        # Only states, each replacing the one before: the spool may be down to a single row.
        for n in range(3):
            await storage.commit(Step(state={"engine": b"%d.%d" % (turn, n)}))
        assert (await storage.local.stats())["rows"]["spool"] == 1
        mortal.start()
        await watch.until_back()
        assert await storage.load_state() == {"engine": b"%d.2" % turn}


async def test_the_outage_is_dated_from_its_beginning_after_a_restart(
    build: Build, clock: ScaledClock, watch: Watch
) -> None:
    first = await build(NOBODY_THERE)
    for n in range(3):
        await first.commit(Step(state={"engine": b"%d" % n}))
    began = first.down_since_ms
    await first.close()
    again = await build(NOBODY_THERE)
    assert began is not None
    assert again.down_since_ms is not None
    assert abs(again.down_since_ms - began) < 1_000
    assert watch.heard == [began, again.down_since_ms]


async def test_a_newer_schema_stops_the_start_instead_of_filling_the_spool(
    build: Build, postgres_server: PrivatePostgres
) -> None:
    url = await postgres_server.new_place()
    steps = [*shipped(), Migration(len(shipped()) + 1, "later", ("CREATE TABLE later (n BIGINT)",))]
    newer = PostgresStorage(url, migrations=steps)
    await newer.open()
    await newer.close()
    with pytest.raises(StorageError, match="newer than"):
        await build(url)


async def test_a_wrong_name_stops_the_start_instead_of_filling_the_spool(
    build: Build, postgres_server: PrivatePostgres
) -> None:
    with pytest.raises(StorageError, match="refuses us"):
        await build(postgres_server.url("nowhere"))


async def test_a_spool_at_its_limit_still_takes_events_but_no_more_rows(build: Build) -> None:
    storage = await build(NOBODY_THERE, limit_bytes=1)
    await storage.add_liquidations([liquidation()])
    await storage.flush()
    await storage.commit(Step(events=[event()], deliveries=[delivery()]))
    assert storage.buffer.dropped == {"spool_full": 1}
    assert await claimed(storage) == ["d1"]


async def test_a_spool_that_has_flowed_back_takes_rows_again(
    build: Build, mortal: PrivatePostgres, watch: Watch
) -> None:
    storage = await build(await mortal.new_place(), limit_bytes=1_000_000)
    for _ in range(2):
        mortal.kill()
        await storage.put_endpoint("chat", b"open")
        await storage.add_readings([ReadingRow(NOW_MS + n, "f", "s", b"x" * 1_000) for n in range(600)])
        await storage.flush()
        await storage.add_readings([ReadingRow(NOW_MS, "f", "too much", b"")])
        await storage.flush()
        mortal.start()
        await watch.until_back()
    assert storage.buffer.dropped == {"spool_full": 2}
    assert (await storage.stats())["rows"]["readings"] == 600


async def test_large_changes_flow_back_in_small_transactions(build: Build) -> None:
    storage = await build(NOBODY_THERE)
    for n in range(5):
        await storage.commit(deliveries(delivery(f"d{n}", message=b"x" * 200_000)))
    await storage.commit(deliveries(delivery("huge", message=b"x" * 2_000_000)))
    sizes, done = [], 0
    while entries := await storage.local.read(partial(spool.waiting, after=done)):
        sizes.append(len(entries))
        done = entries[-1][0]
    assert sizes == [2, 2, 1, 1]


async def test_a_full_disk_under_the_spool_is_told_and_what_is_there_stays(build: Build) -> None:
    storage = await build(NOBODY_THERE)
    await storage.commit(deliveries(delivery("before")))
    assert storage.local._writer is not None
    await storage.local._writer.do(lambda writer: writer.execute("PRAGMA max_page_count = 1"))
    with pytest.raises(StorageAwayError, match="disk is full"):
        await storage.commit(deliveries(delivery("lost", message=b"x" * 200_000)))
    await storage.local._writer.do(lambda writer: writer.execute("PRAGMA max_page_count = 100000"))
    await storage.commit(deliveries(delivery("after", message=b"x" * 200_000)))
    assert sorted(await claimed(storage)) == ["after", "before"]


async def test_an_old_error_says_nothing_about_the_server_that_is_back(
    build: Build, postgres_server: PrivatePostgres, watch: Watch
) -> None:
    storage = await build(await postgres_server.new_place())
    turn = storage._turns
    await storage._leave(turn, StorageAwayError("gone"))
    await watch.until_back()
    await storage._leave(turn, StorageAwayError("gone"))
    assert storage.down_since_ms is None


async def test_claimers_never_get_one_delivery_twice_while_the_server_comes_and_goes(
    build: Build, mortal: PrivatePostgres, watch: Watch
) -> None:
    storage = await build(await mortal.new_place())
    taken: list[str] = []
    writing = True

    async def work() -> None:
        while writing or await storage.next_due_ms("chat") == NOW_MS:
            got = await storage.claim("chat", now_ms=NOW_MS, lease_ms=LEASE_MS, limit=3)
            for d in got:
                taken.append(d.id)
                await storage.settle(attempt(d.id), delivered())
            await asyncio.sleep(0.001)

    workers = [asyncio.create_task(work()) for _ in range(3)]
    for n in range(300):
        await storage.apply(Commit(deliveries(delivery(f"d{n}"))))
        if n in {60, 180}:
            mortal.kill()
        if n in {120, 240}:
            await asyncio.to_thread(mortal.start)
            await watch.until_back()
    writing = False
    await asyncio.gather(*workers)
    # A claim whose answer died with the server holds its lease, like one of a worker that died.
    for late in await claimed(storage, NOW_MS + LEASE_MS):
        taken.append(late)
        await storage.settle(attempt(late), delivered())
    assert len(taken) == len(set(taken)) == 300
    stats = await storage.stats()
    assert stats["deliveries"] == {"delivered": 300}
    assert stats["rows"]["webhook_logs"] == 300
