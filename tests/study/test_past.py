from pathlib import Path

import msgspec

from regimes.config import Settings
from regimes.config.settings import Origin, settings_type
from regimes.events import Event, EventType, Phase, Severity, body
from regimes.feeds.cache import CandleCache, to_frame
from regimes.observations import Candle, Liquidation
from regimes.storage.base import ReadingRow, Step
from regimes.storage.sqlite import SqliteStorage
from regimes.study.past import settings_name, stored
from regimes.timeframe import DAY_MS, HOUR_MS

FROM_MS = 1_735_689_600_000
TO_MS = FROM_MS + 2 * DAY_MS


def settings(folder: Path) -> Settings:
    return settings_type()().replaced(
        Origin("test", ""),
        symbols=("BTC/USDT",),
        storage={"url": f"sqlite:///{folder / 'test.db'}", "cache_dir": folder / "cache"},
    )


def event(hour: int, phase: Phase, revision: int) -> Event:
    return Event(
        type=EventType.VOLATILITY_REGIME,
        symbol="BTC/USDT",
        severity=Severity.WARNING,
        phase=phase,
        ts_ms=FROM_MS + hour * HOUR_MS,
        started_ms=FROM_MS,
        revision=revision,
        title="",
        description="",
        why="",
        data={},
    )


async def filled(folder: Path) -> SqliteStorage:
    chosen = settings(folder)
    bars = [
        Candle(chosen.venues.spot, "BTC/USDT", "1h", FROM_MS + h * HOUR_MS, 1.0, 1.1, 0.9, 1.0, 1.0, 1.0, 0.5)
        for h in range(48)
    ]
    CandleCache(folder / "cache").store(chosen.venues.spot, "BTC/USDT", "1h", to_frame(bars))
    storage = SqliteStorage(folder / "test.db")
    await storage.open()
    states = [event(5, Phase.OPENED, 0), event(9, Phase.CLOSED, 1), event(60, Phase.OPENED, 2)]
    for state in states:
        await storage.commit(Step(events=[body(state)]))
    await storage.add_liquidations(
        [Liquidation(FROM_MS + 90 * 60_000, "v", "BTC/USDT", "long", 1.0, 7.0, 7.0)]
    )
    rows = []
    for minute in range(0, 48 * 60, 20):
        if 600 <= minute < 720:
            continue  # hours 10 and 11: the service did not run
        ts_ms = FROM_MS + minute * 60_000 + 5_000
        rate = msgspec.json.encode({"status": "ok", "rate_8h": 0.0001 if minute < 1440 else 0.0003})
        rows += [ReadingRow(ts_ms, "liquidation_cascade", "ALL", b'{"status":"ok"}')]
        rows += [ReadingRow(ts_ms, "funding_anomaly", "BTC/USDT", rate)]
    await storage.add_readings(rows)
    await storage.flush()
    return storage


async def test_what_the_service_stored_comes_back_as_events_and_series(tmp_path: Path) -> None:
    storage = await filled(tmp_path)
    past = await stored(storage, settings(tmp_path), FROM_MS, TO_MS)
    await storage.close()
    assert [(state.phase, state.revision) for state in past.states] == [("opened", 0), ("closed", 1)]
    series = past.series["BTC/USDT"]
    first = series.place(FROM_MS)
    assert series.close[first : first + 48].tolist() == [1.0] * 48
    assert series.funding[first + 23] == 0.0001
    assert series.funding[first + 24] == 0.0003
    assert series.liquidated_usd[first + 1] == 7.0
    assert series.liquidated_usd[first + 2] == 0.0


async def test_hours_the_service_did_not_watch_are_gaps(tmp_path: Path) -> None:
    storage = await filled(tmp_path)
    past = await stored(storage, settings(tmp_path), FROM_MS, TO_MS)
    await storage.close()
    inside = [gap for gap in past.gaps if gap.from_ms >= FROM_MS]
    assert [(gap.from_ms, gap.to_ms) for gap in inside] == [(FROM_MS + 10 * HOUR_MS, FROM_MS + 12 * HOUR_MS)]
    assert past.series["BTC/USDT"].liquidated_usd[past.series["BTC/USDT"].place(FROM_MS) + 10] != 0.0


async def test_an_empty_database_is_a_past_in_which_nothing_happened(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "test.db")
    await storage.open()
    past = await stored(storage, settings(tmp_path), FROM_MS, TO_MS)
    await storage.close()
    assert (past.states, past.series, past.sendings, past.deliveries) == ([], {}, [], [])


def test_the_name_of_settings_changes_with_them_and_only_then(tmp_path: Path) -> None:
    plain = settings(tmp_path)
    assert settings_name(plain) == settings_name(settings(tmp_path))
    changed = plain.replaced(Origin("test", ""), funding={"anomaly_z_threshold": 3.0})
    assert settings_name(changed) != settings_name(plain)
