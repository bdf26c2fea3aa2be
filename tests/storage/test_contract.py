import asyncio
from collections import Counter

import msgspec
import pytest

from regimes.alerting.records import Action, Reason, Silence
from regimes.errors import ConfigError, DataError
from regimes.events import Phase, Severity
from regimes.storage.base import EventQuery, Liquidated, ReadingRow, ScoreRow, Step
from regimes.storage.store import Store

from .samples import NOW_MS, attempt, decision, delivered, deliveries, delivery, event, liquidation

DAY_MS = 86_400_000


async def every_event(storage: Store, limit: int) -> list[str]:
    """Ids over all pages."""
    seen: list[str] = []
    query = EventQuery(limit=limit)
    while True:
        page = await storage.events(query)
        seen += [event.id for event in page.events]
        if page.cursor is None:
            return seen
        query = EventQuery(limit=limit, cursor=page.cursor)


async def test_a_step_is_found_again_whole(storage: Store) -> None:
    cascade = event()
    step = Step(
        events=[cascade],
        decisions=[decision(cascade.id)],
        deliveries=[delivery(event_id=cascade.id)],
        state={"engine": b"\x00\xff", "policy": b"{}"},
    )
    await storage.commit(step)
    assert await storage.event(cascade.id) == cascade
    assert list(await storage.decisions(cascade.id)) == [decision(cascade.id)]
    stored = await storage.deliveries(event_id=cascade.id, status=None, limit=10)
    assert [(d.id, d.status, d.attempt, d.message) for d in stored] == [
        ("d1", "pending", 0, delivery().message)
    ]
    assert await storage.load_state() == {"engine": b"\x00\xff", "policy": b"{}"}


async def test_an_empty_storage_answers_everything_with_nothing(storage: Store) -> None:
    assert await storage.load_state() == {}
    assert (await storage.events(EventQuery())).events == []
    assert await storage.event("evt_none") is None
    assert await storage.states_after("evt_none", 0, limit=5) is None
    assert list(await storage.deliveries(event_id=None, status=None, limit=5)) == []
    assert list(await storage.claim("chat", now_ms=NOW_MS, lease_ms=1, limit=5)) == []
    assert await storage.next_due_ms("chat") is None
    assert await storage.last_state() is None
    assert await storage.endpoints() == {}
    assert list(await storage.silences()) == []
    await storage.commit(Step())


async def test_the_same_step_again_changes_nothing(storage: Store) -> None:
    cascade = event()
    step = Step(
        events=[cascade],
        decisions=[decision(cascade.id)],
        deliveries=[delivery(event_id=cascade.id)],
        state={"engine": b"1"},
    )
    await storage.commit(step)
    await storage.claim("chat", now_ms=NOW_MS, lease_ms=1_000, limit=1)
    await storage.settle(attempt(), delivered())
    before = await storage.stats()
    await storage.commit(step)
    after = await storage.stats()
    assert after["rows"] | {"spool": 0} == before["rows"] | {"spool": 0}
    assert after["deliveries"] == {"delivered": 1}


@pytest.mark.parametrize(
    "broken",
    [
        {"state": {"bad\0name": b""}},
        {"deliveries": [delivery(), delivery("d2", endpoint="\0")]},
        {"decisions": [decision("evt_x", ts_ms=2**63)]},
        {"decisions": [decision("evt_x", endpoint="\ud800")]},
    ],
)
async def test_an_error_in_the_middle_of_a_step_leaves_nothing(
    storage: Store, broken: dict[str, object]
) -> None:
    cascade = event()
    whole = {"events": [cascade], "decisions": [decision(cascade.id)], "deliveries": [delivery()]}
    with pytest.raises(DataError, match=r"takes no such value|NUL"):
        await storage.commit(Step(**{**whole, **broken}))  # type: ignore[arg-type]
    counts = (await storage.stats())["rows"]
    assert {table: n for table, n in counts.items() if n} == {}
    await storage.commit(Step(events=[cascade]))
    assert await storage.event(cascade.id) == cascade


async def test_a_step_that_fails_takes_no_neighbour_with_it(storage: Store) -> None:
    steps = [Step(events=[event(NOW_MS + n)], state={"bad\0" if n == 3 else "ok": b""}) for n in range(8)]
    results = await asyncio.gather(*map(storage.commit, steps), return_exceptions=True)
    assert [isinstance(result, DataError) for result in results] == [n == 3 for n in range(8)]
    assert len((await storage.events(EventQuery())).events) == 7


async def test_the_newest_state_of_an_event_is_shown_whatever_the_order_of_writing(storage: Store) -> None:
    opened, worse = event(), event(revision=1, severity=Severity.CRITICAL, phase=Phase.UPDATED)
    await storage.commit(Step(events=[worse]))
    await storage.commit(Step(events=[opened]))
    page = await storage.events(EventQuery())
    assert list(page.events) == [worse]
    assert await storage.event(opened.id) == worse


async def test_events_are_filtered_by_their_newest_state(storage: Store) -> None:
    first, second = event(NOW_MS), event(NOW_MS + 10, symbol="ETH/USDT", severity=Severity.CRITICAL)
    calmer = event(NOW_MS + 10, symbol="ETH/USDT", revision=1)
    await storage.commit(Step(events=[first, second, calmer]))

    async def found(query: EventQuery) -> list[str]:
        return [event.symbol for event in (await storage.events(query)).events]

    assert await found(EventQuery(severity="CRITICAL")) == []
    assert await found(EventQuery(severity="WARNING")) == ["ETH/USDT", "BTC/USDT"]
    assert await found(EventQuery(symbol="BTC/USDT")) == ["BTC/USDT"]
    assert await found(EventQuery(event_type="FUNDING_ANOMALY")) == []
    assert await found(EventQuery(from_ms=NOW_MS + 10)) == ["ETH/USDT"]
    assert await found(EventQuery(to_ms=NOW_MS + 10, event_type="LIQUIDATION_CASCADE")) == ["BTC/USDT"]


async def test_pages_hold_each_event_once_while_episodes_begin_and_go_on(storage: Store) -> None:
    # Several begin in the same millisecond.
    await storage.commit(Step(events=[event(NOW_MS + n // 4, symbol=f"S{n}/USDT") for n in range(23)]))
    expected = await every_event(storage, limit=100)
    seen: list[str] = []
    query = EventQuery(limit=5)
    for turn in range(10):
        page = await storage.events(query)
        seen += [event.id for event in page.events]
        newer = event(NOW_MS + 1_000 + turn, symbol="NEW/USDT")
        goes_on = event(NOW_MS, symbol="S0/USDT", revision=turn + 1, ts_ms=NOW_MS + 5_000)
        await storage.commit(Step(events=[newer, goes_on]))
        if page.cursor is None:
            break
        query = EventQuery(limit=5, cursor=page.cursor)
    assert seen == expected
    assert len(set(seen)) == 23


@pytest.mark.parametrize("count", [0, 5, 10])
async def test_the_last_page_has_no_cursor(storage: Store, count: int) -> None:
    await storage.commit(Step(events=[event(NOW_MS + n) for n in range(count)]))
    assert len(await every_event(storage, limit=5)) == count


@pytest.mark.parametrize(
    "cursor", ["", "x", "12", "12.", ".evt", "1_0.evt", "²3.evt", "a.b'; DROP TABLE deliveries"]
)
async def test_a_cursor_no_page_gave_is_refused(storage: Store, cursor: str) -> None:
    with pytest.raises(DataError, match="cursor"):
        await storage.events(EventQuery(cursor=cursor))


async def test_states_after_one_come_in_the_order_they_were_stored(storage: Store) -> None:
    states = [event(NOW_MS + n % 3, revision=n // 3) for n in range(9)]
    for state in states:
        await storage.commit(Step(events=[state]))
    await storage.commit(Step(events=[states[0]]))  # once more: keeps its place
    after = await storage.states_after(states[3].id, states[3].revision, limit=100)
    assert after is not None
    assert list(after) == states[4:]
    assert len(await storage.states_after(states[0].id, 0, limit=2) or []) == 2
    assert await storage.states_after(states[8].id, states[8].revision, limit=5) == []
    assert await storage.states_after("", 0, limit=3) == states[:3]
    assert await storage.last_state() == (states[8].id, states[8].revision)


async def test_deliveries_are_listed_in_pages(storage: Store) -> None:
    made = [
        delivery(f"d{n}", revision=n, created_ms=NOW_MS + n // 3, collapse_key=f"k{n}", endpoint=f"e{n % 2}")
        for n in range(10)
    ]
    await storage.commit(deliveries(*made))
    seen: list[str] = []
    before = None
    while page := await storage.deliveries(event_id=None, status=None, limit=3, before=before):
        seen += [one.id for one in page]
        before = (page[-1].created_ms, page[-1].id)
    assert seen == [one.id for one in reversed(made)]
    only = await storage.deliveries(event_id=None, status="pending", limit=9, endpoint="e1")
    assert [one.id for one in only] == ["d9", "d7", "d5", "d3", "d1"]
    one = await storage.delivery("d4")
    assert one is not None
    assert (one.id, one.message) == ("d4", made[4].message)
    assert await storage.delivery("none") is None


async def test_liquidations_are_summed_by_steps_of_time(storage: Store) -> None:
    began_ms = NOW_MS // 60_000 * 60_000
    rows = [liquidation(began_ms + n * 20_000, symbol="ETH/USDT" if n == 4 else "BTC/USDT") for n in range(7)]
    rows.append(msgspec.structs.replace(rows[0], closed="short", quote_usd=5.5))
    await storage.add_liquidations(rows)
    await storage.flush()
    usd = rows[0].quote_usd
    span = {"from_ms": began_ms, "to_ms": began_ms + 120_000, "step_ms": 60_000}
    (first, second) = await storage.liquidated(symbol="BTC/USDT", **span)
    assert first == Liquidated(began_ms, first.long_usd, 5.5, 4)
    assert second == Liquidated(began_ms + 60_000, second.long_usd, 0.0, 2)
    assert (first.long_usd, second.long_usd) == pytest.approx((3 * usd, 2 * usd))
    (first, second) = await storage.liquidated(symbol=None, **span)
    assert (first.count, second.count) == (4, 3)


async def test_decisions_about_a_state_are_kept_each(storage: Store) -> None:
    first, later = (
        decision("evt_1"),
        decision("evt_1", NOW_MS + 5, action=Action.SUPPRESS, reason=Reason.COOLDOWN),
    )
    other = decision("evt_1", endpoint="mail")
    await storage.commit(Step(decisions=[later, first, other, first]))
    assert list(await storage.decisions("evt_1")) == [first, other, later]


async def test_state_rows_are_replaced_and_others_stay(storage: Store) -> None:
    await storage.commit(Step(state={"engine": b"1", "policy": b"p"}))
    await storage.commit(Step(state={"engine": b"2"}))
    assert await storage.load_state() == {"engine": b"2", "policy": b"p"}


async def test_endpoint_state_is_replaced(storage: Store) -> None:
    await storage.put_endpoint("chat", b"closed")
    await storage.put_endpoint("mail", b"closed")
    await storage.put_endpoint("chat", b"open")
    assert await storage.endpoints() == {"chat": b"open", "mail": b"closed"}


async def test_silences_are_added_replaced_and_taken_back(storage: Store) -> None:
    silence = Silence(id="s1", created_ms=1, until_ms=2, comment="upgrade", symbol="BTC/USDT")
    longer = Silence(id="s1", created_ms=1, until_ms=3, up_to=Severity.WARNING)
    await storage.put_silence(Silence(id="s0", created_ms=5, until_ms=6))
    await storage.put_silence(silence)
    await storage.put_silence(longer)
    assert [s.id for s in await storage.silences()] == ["s1", "s0"]
    assert (await storage.silences())[0] == longer
    assert await storage.delete_silence("s1")
    assert not await storage.delete_silence("s1")
    assert [s.id for s in await storage.silences()] == ["s0"]


async def test_liquidations_come_back_newest_kept_oldest_first(storage: Store) -> None:
    rows = [liquidation(NOW_MS + n, symbol="ETH/USDT" if n % 2 else "BTC/USDT") for n in range(10)]
    await storage.add_liquidations(rows)
    await storage.add_liquidations(rows[:4])
    await storage.flush()
    assert list(await storage.liquidations(since_ms=0, symbol=None, limit=100)) == rows
    assert list(await storage.liquidations(since_ms=NOW_MS + 2, symbol=None, limit=3)) == rows[7:]
    assert list(await storage.liquidations(since_ms=NOW_MS + 2, symbol="BTC/USDT", limit=9)) == rows[2::2]


async def test_readings_come_back_oldest_first_within_their_span(storage: Store) -> None:
    rows = [ReadingRow(NOW_MS + n, "volatility", "BTC/USDT", b"%d" % n) for n in range(6)]
    await storage.add_readings([*rows, ReadingRow(NOW_MS, "volatility", "ETH/USDT", b"e")])
    await storage.add_readings([ReadingRow(NOW_MS, "volatility", "BTC/USDT", b"another")])
    await storage.flush()
    found = await storage.readings(
        feature="volatility", symbol="BTC/USDT", from_ms=NOW_MS, to_ms=NOW_MS + 5, limit=3
    )
    assert list(found) == rows[:3]


async def test_rows_that_waited_are_written_at_close(storage: Store) -> None:
    await storage.add_liquidations([liquidation()])
    await storage.close()
    await storage.open()
    assert list(await storage.liquidations(since_ms=0, symbol=None, limit=9)) == [liquidation()]


async def test_everything_outlives_closing_and_opening(storage: Store) -> None:
    cascade = event()
    await storage.commit(Step(events=[cascade], deliveries=[delivery()], state={"engine": b"1"}))
    await storage.close()
    await storage.open()
    assert await storage.event(cascade.id) == cascade
    assert await storage.load_state() == {"engine": b"1"}
    assert len(await storage.claim("chat", now_ms=NOW_MS, lease_ms=1, limit=1)) == 1


async def test_commits_at_the_same_time_all_hold(storage: Store) -> None:
    steps = [Step(events=[event(NOW_MS + n)], deliveries=[delivery(f"d{n}")]) for n in range(60)]
    await asyncio.gather(*map(storage.commit, steps))
    counts = (await storage.stats())["rows"]
    assert (counts["market_events"], counts["deliveries"]) == (60, 60)
    first = (await storage.events(EventQuery(limit=1))).events[0]
    stored = Counter(e.id for e in (await storage.events(EventQuery(limit=99))).events)
    assert first.id in stored
    assert max(stored.values()) == 1


async def test_stats_count_rows_and_bytes(storage: Store) -> None:
    await storage.commit(deliveries(delivery("a"), delivery("b")))
    await storage.add_liquidations([liquidation()])
    stats = await storage.stats()
    assert stats["rows"]["deliveries"] == 2
    assert stats["deliveries"] == {"pending": 2}
    assert stats["schema_version"] == 4
    assert stats["bytes"] > 10_000
    assert stats["buffer"] == {"waiting": 1, "dropped": {}}


async def test_purge_takes_old_history_in_small_batches(storage: Store) -> None:
    await storage.add_liquidations([liquidation(NOW_MS + n) for n in range(10)])
    await storage.add_readings([ReadingRow(NOW_MS + n, "f", "s", b"") for n in range(10)])
    await storage.commit(Step(decisions=[decision("evt_1", NOW_MS + n) for n in range(10)]))
    await storage.flush()
    for table in ("liquidations", "readings", "decisions"):
        assert await storage.purge(table, NOW_MS + 5, limit=3) == 3
        assert await storage.purge(table, NOW_MS + 5, limit=3) == 2
        assert await storage.purge(table, NOW_MS + 5, limit=3) == 0
    assert [row.ts_ms - NOW_MS for row in await storage.liquidations(since_ms=0, symbol=None, limit=99)] == [
        5, 6, 7, 8, 9,
    ]  # fmt: skip


async def test_purge_never_takes_an_open_event(storage: Store) -> None:
    opened, grown = event(), event(revision=1, phase=Phase.UPDATED)
    await storage.commit(Step(events=[opened, grown]))
    assert await storage.purge("market_events", NOW_MS + DAY_MS, limit=100) == 0
    closed = event(revision=2, phase=Phase.CLOSED, ts_ms=NOW_MS + 100)
    await storage.commit(Step(events=[closed]))
    assert await storage.purge("market_events", NOW_MS + 100, limit=100) == 0
    assert await storage.purge("market_events", NOW_MS + 101, limit=100) == 3
    assert await storage.event(opened.id) is None


async def test_purge_keeps_an_event_that_went_on_after_it_had_closed(storage: Store) -> None:
    closed, again = event(phase=Phase.CLOSED), event(revision=1, phase=Phase.UPDATED)
    await storage.commit(Step(events=[closed, again]))
    assert await storage.purge("market_events", NOW_MS + DAY_MS, limit=100) == 0


async def test_purge_never_takes_what_is_still_to_be_sent(storage: Store) -> None:
    cascade = event(phase=Phase.CLOSED)
    step = Step(events=[cascade], deliveries=[delivery(event_id=cascade.id), delivery("d2")])
    await storage.commit(step)
    await storage.claim("chat", now_ms=NOW_MS, lease_ms=1_000, limit=2)
    await storage.settle(attempt("d2"), delivered())
    later = NOW_MS + DAY_MS
    assert await storage.purge("market_events", later, limit=100) == 0
    assert await storage.purge("deliveries", later, limit=100) == 1
    left = await storage.deliveries(event_id=None, status=None, limit=9)
    assert [d.id for d in left] == ["d1"]
    await storage.settle(attempt("d1"), delivered())
    assert await storage.purge("market_events", later, limit=100) == 1


async def test_purge_takes_what_was_superseded_while_its_sender_died(storage: Store) -> None:
    await storage.commit(deliveries(delivery("old", collapse_key="k")))
    await storage.claim("chat", now_ms=NOW_MS, lease_ms=1_000, limit=1)
    await storage.commit(deliveries(delivery("new", collapse_key="k")))
    assert await storage.purge("deliveries", NOW_MS + 999, limit=9) == 0
    assert await storage.purge("deliveries", NOW_MS + 1_001, limit=9) == 1
    (left,) = await storage.deliveries(event_id=None, status=None, limit=9)
    assert left.id == "new"


async def test_purge_takes_old_attempts_and_ended_silences(storage: Store) -> None:
    await storage.commit(deliveries(delivery()))
    await storage.settle(attempt(number=1), delivered())
    await storage.put_silence(Silence(id="old", created_ms=1, until_ms=NOW_MS - 1))
    await storage.put_silence(Silence(id="new", created_ms=1, until_ms=NOW_MS + 1))
    assert await storage.purge("webhook_logs", NOW_MS + 5, limit=9) == 1
    assert await storage.purge("silences", NOW_MS, limit=9) == 1
    assert [s.id for s in await storage.silences()] == ["new"]


@pytest.mark.parametrize(
    "table", ["engine_state", "endpoints", "schema_version", "nothing; DROP TABLE deliveries"]
)
async def test_purge_refuses_tables_that_have_no_age(storage: Store, table: str) -> None:
    with pytest.raises(ConfigError, match="must be one of"):
        await storage.purge(table, NOW_MS, limit=1)


def score(made_ms: int) -> ScoreRow:
    return ScoreRow(made_ms, 1, 2, "a source", "settings", f"table of {made_ms}".encode())


async def test_the_newest_score_is_the_one_in_use(storage: Store) -> None:
    assert await storage.score() is None
    for made_ms in (20, 10, 30):
        await storage.put_score(score(made_ms))
    assert await storage.score() == score(30)
    assert await storage.score(after_ms=29) == score(30)
    assert await storage.score(after_ms=30) is None
    changed = msgspec.structs.replace(score(30), body=b"another")
    await storage.put_score(changed)
    assert await storage.score() == changed


async def test_of_all_scores_the_newest_ten_stay(storage: Store) -> None:
    for made_ms in range(1, 14):
        await storage.put_score(score(made_ms))
    assert (await storage.stats())["rows"]["scores"] == 10
    assert await storage.score() == score(13)
