from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import polars as pl
import pytest

from regimes.errors import ConfigError, DataError
from regimes.feeds import recordings
from regimes.history import ParquetSource, open_source
from regimes.observations import (
    Candle,
    FeedGap,
    FundingRate,
    Liquidation,
    Observation,
    OpenInterest,
    Unavailable,
)
from regimes.timeframe import DAY_MS, HOUR_MS, known_at_ms

T = TypeVar("T", bound=Observation)
HOUR = 1_700_000_000_000 // HOUR_MS * HOUR_MS
SESSION_MS = 1_737_982_800_000  # 2025-01-27 13:00 UTC
SUMMED_MS = 1_718_830_800_000  # 2024-06-19 21:00 UTC


def candles(folder: Path, name: str = "spot_BTCUSDT_1h", hours: int = 30, *, first: int = HOUR) -> None:
    opens = [first + n * HOUR_MS for n in range(hours)]
    prices = [100.0 + n for n in range(hours)]
    frame = pl.DataFrame(
        {"ts": opens, "open": prices, "high": prices, "low": prices, "close": prices, "volume": prices}
    )
    (folder / "candles").mkdir(exist_ok=True)
    frame.write_parquet(folder / f"candles/{name}.parquet")


def orders(folder: Path, times: list[int], **columns: object) -> None:
    values: dict[str, object] = {"symbol": "BTCUSDT", "side": "SELL", "price": 100.0, "avg_price": 99.0}
    values |= dict.fromkeys(("qty", "last_qty", "filled_qty"), 2.0) | columns
    frame = pl.DataFrame({"ts": times}).with_columns(**{name: pl.lit(v) for name, v in values.items()})
    (folder / "liquidations").mkdir(exist_ok=True)
    frame.write_parquet(folder / "liquidations/some_force_orders.parquet")


def of(kind: type[T], found: list[Observation]) -> list[T]:
    return [item for item in found if isinstance(item, kind)]


def everything(folder: Path) -> list[Observation]:
    source = open_source(folder)
    return list(source.observations(*source.span()))


def test_the_span_covers_all_there_is_and_no_more(tmp_path: Path) -> None:
    candles(tmp_path)
    orders(tmp_path, [HOUR - 5, HOUR + 31 * HOUR_MS])
    assert open_source(tmp_path).span() == (HOUR - 5, HOUR + 31 * HOUR_MS + 1)
    assert Counter(map(type, everything(tmp_path)))[Candle] == 30
    assert Counter(map(type, everything(tmp_path)))[Liquidation] == 2


def test_real_recordings_come_in_order_of_when_they_were_known(data_dir: Path) -> None:
    found = list(open_source(data_dir).observations(SUMMED_MS, SUMMED_MS + 2 * DAY_MS))
    assert {type(item) for item in found} == {
        Candle,
        FundingRate,
        Liquidation,
        OpenInterest,
        Unavailable,
        FeedGap,
    }
    assert all(known_at_ms(a) <= known_at_ms(b) for a, b in pairwise(found))


def test_pieces_put_together_are_the_whole(data_dir: Path) -> None:
    source, end_ms = open_source(data_dir), SUMMED_MS + 2 * DAY_MS
    cuts = [SUMMED_MS, SUMMED_MS + 5 * HOUR_MS, SUMMED_MS + 17 * HOUR_MS + 90_001, end_ms]
    facts = (Candle, FundingRate, Liquidation, OpenInterest)
    whole = [item for item in source.observations(SUMMED_MS, end_ms) if isinstance(item, facts)]
    pieces = [
        item for a, b in pairwise(cuts) for item in source.observations(a, b) if isinstance(item, facts)
    ]
    assert pieces == whole


def test_a_bar_is_known_at_its_close(tmp_path: Path) -> None:
    candles(tmp_path)
    source = open_source(tmp_path)
    assert not of(Candle, list(source.observations(HOUR, HOUR + HOUR_MS)))
    [bar] = of(Candle, list(source.observations(HOUR, HOUR + HOUR_MS + 1)))
    assert bar == Candle("binance", "BTC/USDT", "1h", HOUR, 100.0, 100.0, 100.0, 100.0, 100.0)


def test_a_sold_order_closes_a_long_at_its_average_price(tmp_path: Path) -> None:
    candles(tmp_path)
    orders(tmp_path, [HOUR])
    [order] = of(Liquidation, everything(tmp_path))
    assert order == Liquidation(HOUR, "binanceusdm", "BTC/USDT", "long", 99.0, 2.0, 198.0)


def test_an_order_without_an_average_price_counts_at_its_own(tmp_path: Path) -> None:
    candles(tmp_path)
    orders(tmp_path, [HOUR], side="BUY", avg_price=None)
    [order] = of(Liquidation, everything(tmp_path))
    assert (order.closed, order.quote_usd) == ("short", 200.0)


def test_an_order_with_another_side_is_refused_with_file_and_time(tmp_path: Path) -> None:
    candles(tmp_path)
    orders(tmp_path, [HOUR], side="LONG")
    with pytest.raises(DataError, match=rf"some_force_orders.parquet: side must be BUY or SELL .*{HOUR}"):
        everything(tmp_path)


def test_forced_orders_of_a_real_session_are_all_there(data_dir: Path) -> None:
    recorded = recordings.read(
        data_dir / "liquidations/binance_um_force_orders.parquet", ("ts", "notional_usd", "session")
    )
    recorded = recorded.filter(pl.col("session") == 4)
    found = of(Liquidation, list(ParquetSource(data_dir).observations(SESSION_MS, SESSION_MS + 5 * HOUR_MS)))
    assert len(found) == len(recorded)
    assert sum(order.quote_usd for order in found) == pytest.approx(recorded["notional_usd"].sum(), rel=1e-9)


@pytest.mark.parametrize("even", [True, False])
def test_sums_are_spread_over_their_own_hour_and_keep_their_amount(data_dir: Path, *, even: bool) -> None:
    recorded = pl.read_parquet(data_dir / "liquidations/hourly_um_ETHUSDT_2024-06_07.parquet").sort("ts")
    hour_ms, price, longs = recorded.drop_nulls("long_liq").select("ts", "close", "long_liq").row(100)
    source = ParquetSource(data_dir, even=even)
    found = of(Liquidation, list(source.observations(hour_ms, hour_ms + HOUR_MS, ["ETH/USDT"])))
    own = [order for order in found if (order.symbol, order.closed) == ("ETH/USDT", "long")]
    assert len(own) == 20
    assert sum(order.quote_usd for order in own) == pytest.approx(longs * price)
    assert len({order.quote_usd for order in own}) == (1 if even else 4)


def test_sums_can_be_scaled(data_dir: Path) -> None:
    span = (SUMMED_MS, SUMMED_MS + 5 * HOUR_MS)
    usd = [
        sum(order.quote_usd for order in of(Liquidation, list(source.observations(*span))))
        for source in (ParquetSource(data_dir), ParquetSource(data_dir, scale=0.1))
    ]
    assert usd[1] == pytest.approx(usd[0] / 10)


def test_orders_that_the_sums_contain_are_not_counted_twice(data_dir: Path) -> None:
    found = of(Liquidation, list(open_source(data_dir).observations(SUMMED_MS, SUMMED_MS + DAY_MS)))
    assert {order.symbol for order in found} == {"BTC/USDT", "ETH/USDT", "SOL/USDT"}


def test_what_nobody_watched_is_a_gap_from_the_day_before_on(tmp_path: Path) -> None:
    candles(tmp_path)
    orders(tmp_path, [HOUR + 1000, HOUR + 2000])
    source = open_source(tmp_path)
    gaps = of(FeedGap, list(source.observations(HOUR, HOUR + DAY_MS)))
    assert [(gap.ts_ms, gap.from_ms, gap.to_ms) for gap in gaps] == [
        (HOUR, HOUR - DAY_MS, None),
        (HOUR + 1000, HOUR - DAY_MS, HOUR + 1000),
        (HOUR + 2001, HOUR + 2001, None),
    ]


def test_who_begins_inside_a_session_has_seen_nothing_before(tmp_path: Path) -> None:
    candles(tmp_path)
    orders(tmp_path, [HOUR - 3 * DAY_MS, HOUR + DAY_MS])
    gaps = of(FeedGap, list(open_source(tmp_path).observations(HOUR, HOUR + HOUR_MS)))
    assert [(gap.ts_ms, gap.from_ms, gap.to_ms) for gap in gaps] == [
        (HOUR, HOUR - DAY_MS, None),
        (HOUR, HOUR - DAY_MS, HOUR),
    ]


def test_each_session_is_watched_apart(data_dir: Path) -> None:
    watched = ParquetSource(data_dir).watched
    # One of the seven lies in the hours that have sums.
    assert len(watched) == 7
    assert all(first < end for first, end in watched)


def test_what_was_never_recorded_is_unavailable(tmp_path: Path) -> None:
    candles(tmp_path)
    found = of(Unavailable, everything(tmp_path))
    assert {(item.kind, item.symbol) for item in found} == {("liquidation", None), ("funding", "BTC/USDT")}
    assert not of(FeedGap, everything(tmp_path))


def test_a_symbol_without_spot_has_the_candles_of_its_perpetual(tmp_path: Path) -> None:
    candles(tmp_path)
    candles(tmp_path, "um_BTCUSDT_1h")
    candles(tmp_path, "um_FTTUSDT_1h")
    venues = {(bar.symbol, bar.venue) for bar in of(Candle, everything(tmp_path))}
    assert venues == {("BTC/USDT", "binance"), ("FTT/USDT", "binanceusdm")}


def test_only_the_wanted_symbols_are_read(tmp_path: Path) -> None:
    candles(tmp_path)
    candles(tmp_path, "spot_ETHUSDT_1h")
    orders(tmp_path, [HOUR], symbol="XRPUSDT")
    source = open_source(tmp_path)
    found = list(source.observations(*source.span(), ["ETH/USDT"]))
    assert {bar.symbol for bar in of(Candle, found)} == {"ETH/USDT"}
    assert {order.symbol for order in of(Liquidation, found)} == {"XRP/USDT"}


def test_rows_in_any_order_give_the_same(tmp_path: Path) -> None:
    candles(tmp_path)
    orders(tmp_path, [HOUR, HOUR, HOUR + 5, HOUR + 7])
    path = tmp_path / "liquidations/some_force_orders.parquet"
    pl.read_parquet(path).with_columns(price=pl.Series([4.0, 3.0, 2.0, 1.0])).write_parquet(path)
    before = everything(tmp_path)
    for path in tmp_path.rglob("*.parquet"):
        pl.read_parquet(path).sample(fraction=1.0, shuffle=True, seed=5).write_parquet(path)
    assert everything(tmp_path) == before


def test_an_interval_is_the_time_since_the_settlement_before(tmp_path: Path) -> None:
    candles(tmp_path)
    (tmp_path / "funding").mkdir()
    times = [HOUR - 4 * HOUR_MS, HOUR, HOUR + 8 * HOUR_MS]
    frame = pl.DataFrame({"ts": times, "rate": [0.1, 0.2, 0.3]})
    frame.write_parquet(tmp_path / "funding/funding_BTCUSDT.parquet")
    found = of(FundingRate, list(open_source(tmp_path).observations(HOUR, HOUR + DAY_MS)))
    assert [(rate.rate, rate.interval_hours) for rate in found] == [(0.2, 4.0), (0.3, 8.0)]


def test_pages_are_small_and_miss_nothing(tmp_path: Path) -> None:
    candles(tmp_path, hours=100)
    path = tmp_path / "candles/spot_BTCUSDT_1h.parquet"
    whole = recordings.read(path, ("ts", "close"))
    parts = list(recordings.pages(path, ("ts", "close"), HOUR + HOUR_MS, HOUR + 90 * HOUR_MS + 1, rows=7))
    assert max(map(len, parts)) == 7
    assert pl.concat(parts).equals(whole[1:91])


def test_a_folder_without_history_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no history there; give a folder"):
        open_source(tmp_path)


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file or folder"):
        open_source(tmp_path / "nothing")


def test_a_file_that_is_not_parquet_is_refused_by_name(tmp_path: Path) -> None:
    candles(tmp_path)
    (tmp_path / "candles/spot_BTCUSDT_1h.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"spot_BTCUSDT_1h.parquet: not a readable Parquet file"):
        everything(tmp_path)
