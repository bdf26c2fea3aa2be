from pathlib import Path

import polars as pl

from regimes.config.settings import settings_type
from regimes.events import EventType
from regimes.history import open_source
from regimes.history.joined import JoinedSource
from regimes.observations import Candle, FeedGap, Liquidation, Tick, Unavailable
from regimes.study import replay
from regimes.timeframe import DAY_MS, HOUR_MS, known_at_ms
from tests.history.tape.support import START_MS, record


def recordings(folder: Path) -> None:
    times = range(START_MS - 60 * DAY_MS, START_MS + 5 * HOUR_MS, HOUR_MS)
    prices = {name: [100_000.0 + n % 90 for n in range(len(times))] for name in ("open", "close", "volume")}
    frame = pl.DataFrame({"ts": list(times), **prices})
    frame = frame.with_columns(high=pl.col("open") + 200, low=pl.col("open") - 200)
    (folder / "candles").mkdir(parents=True)
    frame.write_parquet(folder / "candles" / "spot_BTCUSDT_1h.parquet")


def cascade() -> list[Liquidation | Tick]:
    orders = [
        Liquidation(START_MS + n * 500, "binanceusdm", "BTC/USDT", "long", 100_000.0, 2.0, 200_000.0)
        for n in range(200)
    ]
    return [Tick(START_MS - HOUR_MS), *orders, Tick(START_MS + 2 * HOUR_MS)]


def test_a_tape_beside_recordings_brings_their_liquidations(tmp_path: Path) -> None:
    recordings(tmp_path)
    record(tmp_path / "tape", cascade())
    source = open_source(tmp_path)
    assert isinstance(source, JoinedSource)
    assert source.symbols == ("BTC/USDT",)
    found = list(source.observations(START_MS - DAY_MS, START_MS + DAY_MS))
    assert found == sorted(found, key=known_at_ms)
    assert len([one for one in found if isinstance(one, Liquidation)]) == 200
    assert len([one for one in found if isinstance(one, Candle)]) == 24 + 1 + 5
    assert [one.kind for one in found if isinstance(one, Unavailable)] == ["funding"]
    # Not recorded before the tape and after it; the tape's begin is two minutes before its first arrival.
    gaps = [
        (one.from_ms - START_MS, one.to_ms and one.to_ms - START_MS)
        for one in found
        if isinstance(one, FeedGap)
    ]
    assert gaps == [(-2 * DAY_MS, -HOUR_MS - 120_000), (2 * HOUR_MS + 1, None)]


def test_a_cascade_on_a_tape_beside_recordings_is_seen_by_a_replay(tmp_path: Path) -> None:
    recordings(tmp_path)
    record(tmp_path / "tape", cascade())
    seen = replay(open_source(tmp_path), settings_type()(), START_MS - HOUR_MS, START_MS + 2 * HOUR_MS)
    kinds = {item.event.type for item in seen.events}
    assert EventType.LIQUIDATION_CASCADE in kinds


def test_without_a_tape_recordings_are_as_they_were(tmp_path: Path) -> None:
    recordings(tmp_path)
    assert not isinstance(open_source(tmp_path), JoinedSource)
