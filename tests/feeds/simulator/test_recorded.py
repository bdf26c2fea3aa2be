from pathlib import Path

import polars as pl
import pytest

from regimes.errors import ConfigError, DataError
from regimes.feeds.simulator.liquidations import pushes
from regimes.feeds.simulator.recorded import RecordedMarket
from regimes.feeds.simulator.source import Venue
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS

FROM_MS = 1_737_982_800_000  # 2025-01-27 13:00 UTC
TO_MS = FROM_MS + 5 * HOUR_MS
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


@pytest.fixture(scope="module")
def market(data_dir: Path) -> RecordedMarket:
    return RecordedMarket(data_dir, SYMBOLS, FROM_MS, TO_MS)


def test_every_recorded_forced_order_of_the_span_is_there_once(
    market: RecordedMarket, data_dir: Path
) -> None:
    recorded = pl.read_parquet(data_dir / "liquidations/binance_um_force_orders.parquet").filter(
        pl.col("session") == 4
    )
    found = pushes(market, FROM_MS, TO_MS + 2000, largest_only=True)
    assert len(found) == len(recorded) == 1344
    assert [p.order.ts_ms for p in found] == sorted(recorded["ts"].to_list())
    assert sum(p.order.notional for p in found) == pytest.approx(recorded["notional_usd"].sum(), rel=1e-9)


def test_pushes_asked_for_in_pieces_are_the_same_as_at_once(market: RecordedMarket) -> None:
    pieces = [
        push
        for minute in range(0, 301, 7)
        for push in pushes(
            market, FROM_MS + minute * MINUTE_MS, FROM_MS + (minute + 7) * MINUTE_MS, largest_only=True
        )
    ]
    assert pieces == pushes(market, FROM_MS, FROM_MS + 301 * MINUTE_MS, largest_only=True)


@pytest.mark.parametrize("venue", ["spot", "usdm"])
def test_hourly_candles_equal_the_files(market: RecordedMarket, data_dir: Path, venue: Venue) -> None:
    prefix = "spot" if venue == "spot" else "um"
    recorded = pl.read_parquet(data_dir / f"candles/{prefix}_ETHUSDT_1h.parquet").filter(
        pl.col("ts").is_between(FROM_MS - DAY_MS, TO_MS - HOUR_MS)
    )
    bars = market.bars(venue, "ETHUSDT", HOUR_MS, FROM_MS - DAY_MS, TO_MS - HOUR_MS, TO_MS + 1)
    assert bars.open_ms.tolist() == recorded["ts"].to_list()
    for name in ("open", "high", "low", "close"):
        assert getattr(bars, name).tolist() == recorded[name].to_list()
    assert bars.volume.tolist() == pytest.approx(recorded["volume"].to_list(), rel=1e-12)


def test_minutes_equal_the_files_where_there_are_minutes(market: RecordedMarket, data_dir: Path) -> None:
    recorded = pl.read_parquet(data_dir / "candles/um_SOLUSDT_1m.parquet").filter(
        pl.col("ts").is_between(FROM_MS + HOUR_MS, TO_MS - 1)
    )
    bars = market.bars("usdm", "SOLUSDT", MINUTE_MS, FROM_MS + HOUR_MS, TO_MS - 1, TO_MS)
    for name in ("open", "high", "low", "close"):
        assert getattr(bars, name).tolist() == recorded[name].to_list()


def test_fundings_equal_the_file(market: RecordedMarket, data_dir: Path) -> None:
    recorded = pl.read_parquet(data_dir / "funding/funding_BTCUSDT.parquet").filter(
        pl.col("ts").is_between(FROM_MS - 30 * DAY_MS, TO_MS)
    )
    found = market.fundings("BTCUSDT", FROM_MS - 30 * DAY_MS, TO_MS)
    assert [(f.ts_ms, f.rate) for f in found] == list(recorded.iter_rows())
    assert len(found) == 91


def test_hours_that_were_not_recorded_stay_missing(data_dir: Path) -> None:
    recorded = pl.read_parquet(data_dir / "candles/spot_BTCUSDT_1h.parquet")
    gaps = recorded.filter(pl.col("ts").diff() > HOUR_MS)["ts"]
    assert len(gaps)
    back_ms = int(gaps[-1])
    market = RecordedMarket(data_dir, ["BTC/USDT"], back_ms - DAY_MS, back_ms + DAY_MS)
    assert market.bar("spot", "BTCUSDT", HOUR_MS, back_ms - HOUR_MS + 5) is None
    bars = market.bars("spot", "BTCUSDT", HOUR_MS, back_ms - DAY_MS, back_ms, back_ms)
    assert back_ms - HOUR_MS not in bars.open_ms.tolist()


def test_nothing_is_told_of_the_time_after_the_end(market: RecordedMarket) -> None:
    late_ms = TO_MS + DAY_MS
    assert market.bars("usdm", "BTCUSDT", HOUR_MS, FROM_MS, late_ms, late_ms).open_ms[-1] == TO_MS - HOUR_MS
    assert not market.forced_orders(TO_MS + 1, late_ms)


def test_an_average_price_that_was_not_published_stays_unknown(data_dir: Path) -> None:
    market = RecordedMarket(data_dir, ["BTC/USDT"], 1_750_712_378_000, 1_750_715_796_000)
    orders = market.forced_orders(market.start_ms, market.start_ms + 2 * HOUR_MS)
    assert len(orders) == 1146
    assert {order.avg_price for order in orders} == {None}


def test_open_interest_is_told_only_where_it_was_recorded(market: RecordedMarket, data_dir: Path) -> None:
    assert market.open_interest("BTCUSDT", FROM_MS) is None
    file = pl.read_parquet(data_dir / "liquidations/hourly_um_BTCUSDT_2024-06_07.parquet").drop_nulls(
        "oi_close"
    )
    ts, interest = file["ts"][10], file["oi_close"][10]
    then = RecordedMarket(data_dir, ["BTC/USDT"], ts, ts + 5 * HOUR_MS)
    assert then.open_interest("BTCUSDT", ts + HOUR_MS) == interest


def test_a_symbol_without_a_perpetual_is_listed_on_spot_only(data_dir: Path) -> None:
    market = RecordedMarket(data_dir, ["XTZ/USDT"], FROM_MS, FROM_MS + HOUR_MS)
    assert "XTZUSDT" in market.listings("spot")
    assert "XTZUSDT" not in market.listings("usdm")


def test_a_symbol_that_was_not_recorded_is_refused_by_name(data_dir: Path) -> None:
    with pytest.raises(ConfigError, match="no hourly candles of NOPE/USDT"):
        RecordedMarket(data_dir, ["NOPE/USDT"], FROM_MS, TO_MS)


def test_a_folder_without_candles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder `candles`"):
        RecordedMarket(tmp_path, SYMBOLS, FROM_MS, TO_MS)


def test_a_span_that_ends_before_it_starts_is_refused(data_dir: Path) -> None:
    with pytest.raises(ConfigError, match="must end after it starts"):
        RecordedMarket(data_dir, SYMBOLS, TO_MS, FROM_MS)


def test_a_file_of_another_form_is_refused_with_the_column_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "candles").mkdir()
    pl.DataFrame({"ts": [0], "open": [1.0]}).write_parquet(tmp_path / "candles/spot_BTCUSDT_1h.parquet")
    with pytest.raises(DataError, match="column close, high, low, volume is missing"):
        RecordedMarket(tmp_path, ["BTC/USDT"], FROM_MS, TO_MS)
