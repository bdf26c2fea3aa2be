from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from regimes.alerting.records import Action
from regimes.clock import ScaledClock
from regimes.config import Settings
from regimes.config.settings import Origin, settings_type
from regimes.errors import ConfigError
from regimes.events import Event, EventType, Phase
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.recorded import RecordedMarket
from regimes.history import open_source
from regimes.observations import Candle, Liquidation
from regimes.pipeline import Pipeline
from regimes.study import Replay, replay
from regimes.study.verdicts import EVERYTHING
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS, known_at_ms
from tests.loopback import SYMBOLS, connected, running, settings_for, until
from tests.study.market import START_MS, MemorySource, whole

CRASH_MS = 1_722_729_600_000  # 2024-08-04
SESSION_MS = 1_737_993_300_000  # 2025-01-27 15:55 UTC

SPEED = 600
NERVOUS = {
    "alert_min_timeframes": 1,
    "heat_enter": 0.2,
    "heat_leave": 0.1,
    "price_z_enter": 0.1,
    "price_z_leave": 0.05,
}


def settings(**sections: Any) -> Settings:
    small = {"liquidation": {"cascade_threshold_usd": 100_000.0, "critical_velocity": 60_000.0}}
    return settings_type()().replaced(Origin("test", ""), timeframes=("1h", "4h"), **(small | sections))


def told(done: Replay) -> list[tuple[int, Event]]:
    return [(item.ts_ms, item.event) for item in done.events]


@pytest.fixture(scope="module")
def market() -> MemorySource:
    return whole(50)


@pytest.fixture(scope="module")
def done(market: MemorySource) -> Replay:
    return replay(market, settings(), START_MS + 35 * DAY_MS)


def test_everything_of_the_span_is_told_and_decided(done: Replay, market: MemorySource) -> None:
    assert done.symbols == market.symbols
    assert (done.from_ms, done.to_ms) == (START_MS + 35 * DAY_MS, market.span()[1])
    assert len({item.event.type for item in done.events}) >= 5
    assert all(done.from_ms <= item.ts_ms <= done.to_ms for item in done.events)
    decided = {(one.event_id, one.revision) for one in done.decisions}
    assert {(item.event.id, item.event.revision) for item in done.events} <= decided
    assert {one.endpoint for one in done.decisions} == {EVERYTHING}
    assert not done.rejected


def test_the_messages_are_the_decisions_to_send(done: Replay) -> None:
    sends = [one for one in done.decisions if one.action is Action.SEND]
    assert [message.decision for message in done.messages] == sends
    assert sends


def test_the_same_again_gives_the_same(done: Replay, market: MemorySource) -> None:
    assert replay(market, settings(), START_MS + 35 * DAY_MS) == done


@pytest.mark.parametrize("hour", [3, 100, 333])
def test_what_happens_later_changes_nothing_before(done: Replay, market: MemorySource, hour: int) -> None:
    cut_ms = done.from_ms + hour * HOUR_MS + 17 * MINUTE_MS
    shorter = replay(market, settings(), done.from_ms, cut_ms)
    assert told(shorter) == [item for item in told(done) if item[0] <= cut_ms]
    changed = [
        Candle("v", x.symbol, "1h", x.open_ms, 1.0, 9.0, 0.5, 9.0 if x.open_ms % 7 else 1.0, 1.0)
        if isinstance(x, Candle) and known_at_ms(x) > cut_ms
        else x
        for x in market.observations(*market.span())
        if not (isinstance(x, Liquidation) and x.ts_ms > cut_ms)
    ]
    other = replay(MemorySource(changed), settings(), done.from_ms)
    assert [x for x in told(other) if x[0] <= cut_ms] == told(shorter)
    assert told(other) != told(done)


def test_files_with_their_rows_in_any_order_give_the_same(data_dir: Path, tmp_path: Path) -> None:
    for name in ("candles/spot_BTCUSDT_1h", "candles/spot_ETHUSDT_1h", "funding/funding_BTCUSDT"):
        for folder, shuffled in (("sorted", False), ("shuffled", True)):
            path = tmp_path / folder / f"{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            frame = pl.read_parquet(data_dir / f"{name}.parquet").filter(
                pl.col("ts").is_between(CRASH_MS - 60 * DAY_MS, CRASH_MS + 9 * DAY_MS)
            )
            frame.sample(fraction=1.0, shuffle=shuffled, seed=3).write_parquet(path)
    found = [
        replay(open_source(tmp_path / folder), settings(), CRASH_MS, CRASH_MS + 7 * DAY_MS)
        for folder in ("sorted", "shuffled")
    ]
    assert told(found[0]) == told(found[1])
    assert len(found[0].events) > 20


def test_the_crash_of_august_is_told(data_dir: Path) -> None:
    found = replay(open_source(data_dir), settings_type()(), CRASH_MS, CRASH_MS + 3 * DAY_MS)
    kinds = {(m.event.type, m.event.symbol) for m in found.messages}
    assert {(EventType.VOLATILITY_REGIME, symbol) for symbol in SYMBOLS} <= kinds


def test_a_symbol_that_is_not_there_is_refused_with_those_that_are(market: MemorySource) -> None:
    with pytest.raises(ConfigError, match="memory: no history of NO/USDT; there is BTC/USDT, ETH/USDT"):
        replay(market, settings(), symbols=["NO/USDT"])


def test_of_the_configured_symbols_those_that_are_there_are_replayed(market: MemorySource) -> None:
    assert settings().symbols == SYMBOLS
    assert replay(market, settings(), to_ms=START_MS + DAY_MS).symbols == market.symbols


def test_a_span_without_history_is_refused(market: MemorySource) -> None:
    with pytest.raises(ConfigError, match=r"nothing from 2030-.* it reaches from 2025-01-01"):
        replay(market, settings(), 1_900_000_000_000)


def test_progress_is_told_in_market_time(market: MemorySource) -> None:
    seen: list[int] = []
    replay(market, settings(), progress=seen.append)
    assert seen == sorted(seen)
    assert seen


def facts(event: Event) -> tuple[object, ...]:
    """What a run and a replay must agree on to the letter; amounts come over the wire with fewer decimals."""
    return (event.type, event.symbol, event.started_ms, event.phase, event.severity, event.revision)


def usd_at_the_opening(events: Iterable[Event]) -> list[float]:
    opened = [e for e in events if (e.type, e.phase) == (EventType.LIQUIDATION_CASCADE, Phase.OPENED)]
    return [e.data["total_liquidation_usd"] for e in sorted(opened, key=lambda e: e.symbol)]


def watched_until(data_dir: Path, folder: Path, end_ms: int) -> Path:
    """The recordings with the orders of one session, and a last small one, as it was watched to the end."""
    for name in ("candles", "funding"):
        (folder / name).symlink_to(data_dir / name)
    (folder / "liquidations").mkdir()
    orders = pl.read_parquet(data_dir / "liquidations/binance_um_force_orders.parquet")
    session = orders.filter(pl.col("session") == 4)
    last = session.sort("notional_usd").head(1).with_columns(ts=pl.lit(end_ms - MINUTE_MS))
    pl.concat([session, last]).write_parquet(folder / "liquidations/my_force_orders.parquet")
    return folder


async def test_a_run_and_a_replay_of_the_same_market_say_the_same(data_dir: Path, tmp_path: Path) -> None:
    """Real forced orders of 2025-01-27 over real sockets, and read from the files."""
    end_ms = SESSION_MS + 125 * MINUTE_MS
    folder, live = watched_until(data_dir, tmp_path, end_ms), list[Event]()
    source = RecordedMarket(folder, SYMBOLS, SESSION_MS, end_ms)
    clock = ScaledClock(SESSION_MS, SPEED, running=False)
    async with LoopbackExchange(source, clock) as exchange:
        chosen = settings_for(exchange, tmp_path, pipeline={"interval_seconds": 10.0})
        pipeline = Pipeline(chosen, clock=clock)
        pipeline.subscribe(on_event=live.append)
        async with running(pipeline) as task:
            await until(lambda: connected(pipeline), task)
            clock.start()
            await until(lambda: pipeline.engine.now_ms >= end_ms, task, timeout_s=120)
    found = replay(open_source(folder), chosen, SESSION_MS, end_ms)
    ours = sorted((facts(item.event), item.event.ts_ms) for item in found.events)
    theirs = sorted((facts(event), event.ts_ms) for event in live if event.ts_ms < end_ms)
    assert [what for what, _ in theirs] == [what for what, _ in ours]
    assert len({event.type for event in live}) >= 3
    assert {Phase.OPENED, Phase.UPDATED, Phase.CLOSED} == {event.phase for event in live}
    assert usd_at_the_opening(live) == pytest.approx(
        usd_at_the_opening(x.event for x in found.events), rel=1e-5
    )
    late = [abs(one - other) for (_, one), (_, other) in zip(theirs, ours, strict=True)]
    assert max(late) <= SPEED * 20_000, "no further apart than twenty seconds of a busy machine"
