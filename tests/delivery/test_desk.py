"""The desk on real SQLite, with a database that refuses for a while."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from regimes.alerting.policy import Policy
from regimes.alerting.records import Route, Silence
from regimes.alerting.settings import AlertingSettings
from regimes.clock import SystemClock
from regimes.delivery.desk import AlertDesk, Written
from regimes.delivery.endpoints import parse_endpoints
from regimes.events import Event, EventType, Phase, Severity
from regimes.storage.base import EventQuery, Step, StorageAwayError
from regimes.storage.sqlite import SqliteStorage

START_MS = 1_737_982_800_000
ENDPOINTS = parse_endpoints({"ALL": "https://example.com/hook"})
(ENDPOINT,) = ENDPOINTS


class Refusing(SqliteStorage):
    """Real storage that is away for some commits."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.away_for = 0
        self.steps: list[Step] = []
        self.refused = asyncio.Event()

    async def commit(self, step: Step) -> None:
        if self.away_for:
            self.away_for -= 1
            self.refused.set()
            raise StorageAwayError("the disk is full")
        await super().commit(step)
        self.steps.append(step)


class Bureau:
    """A desk at work, and what it told its surroundings."""

    def __init__(self, storage: Refusing) -> None:
        self.storage = storage
        self.turns = 0
        self.wholes = 0
        self.stored_steps = 0
        self.woken = 0
        self.written: list[Written] = []
        self.desk = AlertDesk(
            Policy(
                AlertingSettings(),
                [Route(endpoint=ENDPOINT.name, sources=ENDPOINT.routes, minimum=Severity.WARNING)],
            ),
            storage,
            ENDPOINTS,
            SystemClock(),
            states=self,
            links=lambda event: {"dashboard": f"https://example.com/{event.symbol}"},
            wake=self.wake,
            on_written=self.written.append,
        )

    def take(self, *, whole: bool) -> Mapping[str, bytes]:
        self.wholes += whole
        return {"engine": str(self.turns).encode()}

    def stored(self) -> None:
        self.stored_steps += 1

    def wake(self) -> None:
        self.woken += 1

    def turn(self, *events: Event) -> None:
        """One turn of the engine."""
        self.turns += 1
        self.desk.take(events, START_MS + self.turns)


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Refusing]:
    store = Refusing(tmp_path / "desk.db")
    await store.open()
    yield store
    await store.close()


@asynccontextmanager
async def at_work(bureau: Bureau) -> AsyncIterator[Bureau]:
    task = asyncio.create_task(bureau.desk.run())
    try:
        yield bureau
    finally:
        task.cancel()
        await asyncio.wait([task])


def event(symbol: str = "BTC/USDT", **changes: object) -> Event:
    plain = Event(
        type=EventType.LIQUIDATION_CASCADE,
        symbol=symbol,
        severity=Severity.CRITICAL,
        phase=Phase.OPENED,
        ts_ms=START_MS,
        started_ms=START_MS,
        revision=0,
        title="cascade",
        description="severe",
        why="velocity",
        data={"severity": 4},
    )
    return msgspec.structs.replace(plain, **changes)


def is_failing(bureau: Bureau) -> bool:
    return bureau.desk.failing_since is not None


async def test_an_event_is_on_disk_with_decision_delivery_and_state_before_anybody_is_told(
    storage: Refusing,
) -> None:
    async with at_work(Bureau(storage)) as bureau:
        bureau.turn(event())
        assert not bureau.woken
        await bureau.desk.drained()
    (delivery,) = await storage.deliveries(event_id=event().id, status="pending", limit=10)
    (decision,) = await storage.decisions(event().id)
    assert delivery.endpoint == decision.endpoint == ENDPOINT.name
    assert (await storage.event(event().id) or event()).title == "cascade"
    assert await storage.load_state() == {"engine": b"1"}
    assert (bureau.woken, [written.events[0].id for written in bureau.written]) == (1, [event().id])


async def test_what_is_not_sent_is_stored_with_its_reason_all_the_same(storage: Refusing) -> None:
    async with at_work(Bureau(storage)) as bureau:
        bureau.turn(event(severity=Severity.INFO))
        await bureau.desk.drained()
    assert [d.reason for d in await storage.decisions(event().id)] == ["below_minimum"]
    assert not await storage.deliveries(event_id=None, status=None, limit=10)
    assert bureau.woken == 0
    assert len(bureau.written) == 1


async def test_steps_that_wait_together_are_one_commit_with_the_state_after_the_last(
    storage: Refusing,
) -> None:
    bureau = Bureau(storage)
    for number in range(5):
        bureau.turn(event(f"C{number}/USDT"))
    assert bureau.desk.waiting == 5
    async with at_work(bureau):
        await bureau.desk.drained()
    (step,) = storage.steps
    assert [body.symbol for body in step.events] == [f"C{number}/USDT" for number in range(5)]
    assert step.state == {"engine": b"5"}


async def test_a_database_that_refuses_loses_nothing_and_keeps_the_order(storage: Refusing) -> None:
    storage.away_for = 3
    async with at_work(Bureau(storage)) as bureau:
        bureau.turn(event("C0/USDT"))
        await storage.refused.wait()
        assert is_failing(bureau)
        assert "disk is full" in bureau.desk.last_error
        for number in range(1, 4):
            bureau.turn(event(f"C{number}/USDT"))
        assert not bureau.written
        await bureau.desk.drained()
        assert not is_failing(bureau)
        assert bureau.desk.waiting == 0
    page = await storage.events(EventQuery())
    assert {body.symbol for body in page.events} == {f"C{number}/USDT" for number in range(4)}
    assert [body.symbol for step in storage.steps for body in step.events] == [f"C{n}/USDT" for n in range(4)]
    assert (await storage.load_state())["engine"] == b"4"


async def test_a_refused_save_is_made_good_for(storage: Refusing) -> None:
    storage.away_for = 1
    async with at_work(Bureau(storage)) as bureau:
        bureau.desk.save()
        await bureau.desk.drained()
    assert bureau.wholes == 2
    assert len(storage.steps) == bureau.stored_steps == 1


async def test_only_a_save_asks_for_the_whole_state(storage: Refusing) -> None:
    async with at_work(Bureau(storage)) as bureau:
        bureau.turn(event())
        await bureau.desk.drained()
        assert bureau.wholes == 0
        bureau.desk.save()
        await bureau.desk.drained()
        bureau.turn(event("ETH/USDT"))
        await bureau.desk.drained()
    assert bureau.wholes == 1


async def test_a_desk_that_is_cancelled_in_a_commit_still_knows_what_it_was_about_to_write(
    storage: Refusing,
) -> None:
    storage.away_for = 1_000
    bureau = Bureau(storage)
    async with at_work(bureau):
        bureau.turn(event())
        await storage.refused.wait()
    assert bureau.desk.waiting == 1
    storage.away_for = 0
    async with at_work(bureau):
        await bureau.desk.drained()
    assert len(storage.steps) == 1


async def test_silences_made_meanwhile_hold_from_the_next_look_on(storage: Refusing) -> None:
    silence = Silence(id="s1", created_ms=0, until_ms=START_MS + 10_000, symbol="BTC/USDT")
    async with at_work(Bureau(storage)) as bureau:
        await storage.put_silence(silence)
        await bureau.desk.load_silences()
        bureau.turn(event(), event("ETH/USDT"))
        await bureau.desk.drained()
    assert [d.reason for d in await storage.decisions(event().id)] == ["silenced"]
    assert len(await storage.deliveries(event_id=None, status=None, limit=10)) == 1


async def test_what_the_policy_sends_by_itself_is_stored_as_an_event_of_its_own(storage: Refusing) -> None:
    async with at_work(Bureau(storage)) as bureau:
        bureau.turn(*(event(f"C{number}/USDT") for number in range(6)))
        bureau.desk.tick(START_MS + 31_000)
        await bureau.desk.drained()
    summaries = await storage.events(EventQuery(symbol="MANY"))
    assert summaries.events[0].data["count"] == 3
    assert len(await storage.deliveries(event_id=summaries.events[0].id, status=None, limit=10)) == 1


async def test_a_reminder_does_not_store_its_event_again(storage: Refusing) -> None:
    async with at_work(Bureau(storage)) as bureau:
        bureau.turn(event())
        bureau.desk.tick(START_MS + 25 * 3_600_000)
        await bureau.desk.drained()
    deliveries = await storage.deliveries(event_id=event().id, status=None, limit=10)
    assert sorted(delivery.reminder for delivery in deliveries) == [0, 1]
    assert sum(len(step.events) for step in storage.steps) == 1
    assert sum(len(written.events) for written in bureau.written) == 1


async def test_links_stand_in_what_is_stored_and_in_what_is_sent(storage: Refusing) -> None:
    async with at_work(Bureau(storage)) as bureau:
        bureau.turn(event())
        await bureau.desk.drained()
    stored = await storage.event(event().id)
    (delivery,) = await storage.deliveries(event_id=None, status=None, limit=10)
    assert stored is not None
    assert stored.links == {"dashboard": "https://example.com/BTC/USDT"}
    assert b"https://example.com/BTC/USDT" in delivery.message
