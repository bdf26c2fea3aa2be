"""Volatility regimes: worked examples, hysteresis, gaps, events, and what real crashes gave."""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from regimes.errors import DataError
from regimes.events import Event, Phase, Severity
from regimes.features.base import Output, Reading, Status, Universe
from regimes.features.volatility_regime import (
    VolatilityReading,
    VolatilityRegime,
    VolatilitySettings,
    classify,
)
from regimes.features.volatility_regime.calibrated import NO_NUMBERS
from regimes.maths.volatility import ClassifyBy
from regimes.observations import Candle, Tick, Unavailable
from regimes.timeframe import HOUR_MS, MINUTE_MS
from tests.features.checks import encode

BTC = "BTC/USDT"
# A month of this hourly move (1 % a day), then a day of another.
CALM = 0.01 / math.sqrt(24)


def bar(hour: int, close: float, symbol: str = BTC) -> Candle:
    return Candle("binanceus", symbol, "1h", hour * HOUR_MS, close, close, close, close, 1.0)


def closes(moves: Sequence[float]) -> list[float]:
    """Prices that go up and down by turns, so that they stay near 100; one more than moves."""
    signed = [move if index % 2 else -move for index, move in enumerate(moves)]
    return [100.0 * math.exp(total) for total in np.cumsum([0.0, *signed]).tolist()]


def feature(**settings: object) -> VolatilityRegime:
    return VolatilityRegime(VolatilitySettings.model_validate(settings), Universe((BTC,)))


def live(target: VolatilityRegime, prices: Sequence[float], start: int = 0) -> Iterator[Output]:
    for hour, close in enumerate(prices, start):
        target.update(bar(hour, close))
        yield target.update(Tick((hour + 1) * HOUR_MS + 2_000))


def reading(target: VolatilityRegime) -> VolatilityReading:
    found = target.readings()[0]
    assert isinstance(found, VolatilityReading)
    return found


def plain(told: Reading) -> dict[str, object]:
    """What a reading says but for the calibrated layer, which looks across symbols and learns from what it judged."""
    return {name: value for name, value in msgspec.to_builtins(told).items() if name not in NO_NUMBERS}


def events(outputs: Iterator[Output]) -> list[Event]:
    return [event for output in outputs for event in output.events]


def series(volatility: float, ratio: float) -> list[float]:
    """744 closes whose last 24 h have this volatility, this many times the baseline of the last 720 h."""
    quiet = math.sqrt(((volatility / ratio) ** 2 * 30 - volatility**2) / 696)
    return closes([quiet] * 720 + [volatility / math.sqrt(24)] * 24)


@pytest.mark.parametrize(
    ("volatility", "ratio", "by", "wanted"),
    [
        (0.021, 1.17, "both", "HIGH_VOL"),
        (0.052, 4.3, "both", "EXPLOSIVE"),
        (0.052, 4.3, "absolute", "EXPLOSIVE"),
        (0.052, 4.3, "ratio", "EXTREME"),
        (0.021, 0.97, "absolute", "HIGH_VOL"),
        (0.021, 0.97, "both", "STABLE"),
        (0.009, 2.0, "both", "STABLE"),
        (0.12, 2.6, "both", "EXTREME"),
    ],
)
def test_worked_examples_as_library_and_live(
    volatility: float, ratio: float, by: ClassifyBy, wanted: str
) -> None:
    prices = series(volatility, ratio)
    alone = classify(np.array(prices), classify_by=by)
    assert alone.vol_regime == wanted
    assert alone.volatility_24h == pytest.approx(volatility, rel=1e-9)
    assert alone.ratio == pytest.approx(ratio, rel=1e-9)
    target = feature(classify_by=by)
    for hour, close in enumerate(prices):
        target.update(bar(hour, close))
    target.update(Tick(len(prices) * HOUR_MS))
    assert reading(target).volatility_24h == pytest.approx(volatility, rel=1e-9)
    assert reading(target).ratio == pytest.approx(ratio, rel=1e-9)


@pytest.mark.parametrize(
    ("volatility", "wanted"), [(0.009, 0.7), (0.03, 1.2), (0.07, 1.8), (0.2, 2.5)], ids=str
)
def test_risk_multiplier_is_the_one_configured_for_the_state(volatility: float, wanted: float) -> None:
    target = feature(classify_by="absolute")
    list(live(target, series(volatility, 1.0)))
    assert reading(target).risk_multiplier == wanted
    severity = {0.7: None, 1.2: Severity.INFO, 1.8: Severity.WARNING, 2.5: Severity.CRITICAL}[wanted]
    assert reading(target).alert_level == severity


def test_episode_opens_escalates_and_closes_with_its_peak_and_duration() -> None:
    target = feature(classify_by="absolute", stable_threshold=0.02)
    prices = closes([CALM] * 600 + [0.006] * 24 + [0.03] * 24 + [CALM] * 72)
    told = events(live(target, prices))
    assert [(event.phase, event.severity.name) for event in told] == [
        (Phase.OPENED, "INFO"),
        (Phase.UPDATED, "WARNING"),
        (Phase.UPDATED, "CRITICAL"),
        (Phase.CLOSED, "CRITICAL"),
    ]
    opened, *_, closed = told
    assert len({event.id for event in told}) == 1
    assert opened.why == f"24 h volatility {opened.data['volatility_24h']:.2%} >= 2.00%"
    assert closed.data["peak_regime"] == "EXTREME"
    assert closed.data["peak_volatility_24h"] == pytest.approx(0.03 * math.sqrt(24), rel=1e-9)
    assert closed.data["duration_hours"] == (closed.ts_ms - opened.ts_ms) / HOUR_MS
    assert closed.data["vol_regime"] == reading(target).vol_regime == "STABLE"
    assert reading(target).state_since_ms == closed.ts_ms


def test_state_is_left_only_below_the_lower_threshold_and_after_the_dwell() -> None:
    target = feature(classify_by="absolute", stable_threshold=0.02)
    enter_at, stay_at = 0.0201 / math.sqrt(24), 0.0171 / math.sqrt(24)
    list(live(target, closes([CALM] * 600 + [enter_at] * 24 + [stay_at] * 100)))
    assert reading(target).volatility_24h == pytest.approx(0.0171, rel=1e-9)
    assert reading(target).vol_regime == "HIGH_VOL"
    calmer = closes([CALM] * 600 + [enter_at] * 24 + [0.0169 / math.sqrt(24)] * 100)
    other = feature(classify_by="absolute", stable_threshold=0.02)
    list(live(other, calmer))
    assert reading(other).vol_regime == "STABLE"


def test_one_hour_spike_is_held_for_six_hours_after_it_leaves_the_window() -> None:
    target = feature(classify_by="absolute", min_dwell_hours=30.0)
    spike = closes([CALM / 2] * 600 + [0.06] + [CALM / 2] * 60)
    told = events(live(target, spike))
    assert [event.phase for event in told] == [Phase.OPENED, Phase.CLOSED]
    assert told[1].ts_ms - told[0].ts_ms == 30 * HOUR_MS
    impatient = events(live(feature(classify_by="absolute"), spike))
    assert impatient[1].ts_ms - impatient[0].ts_ms == 24 * HOUR_MS


def test_nothing_is_said_until_480_returns_and_20_of_the_last_24() -> None:
    target = feature()
    prices = closes([CALM] * 480)
    list(live(target, prices[:480]))
    assert (reading(target).status, reading(target).n, reading(target).needed) == (Status.WARMING, 479, 480)
    assert reading(target).volatility_24h is None
    list(live(target, prices[480:], start=480))
    assert reading(target).status is Status.OK
    assert reading(target).coverage == pytest.approx(480 / 720)


@pytest.mark.parametrize(("missing", "status"), [(3, Status.OK), (4, Status.WARMING)])
def test_gap_of_k_bars_costs_k_plus_one_returns(missing: int, status: Status) -> None:
    target = feature()
    prices = closes([CALM] * 720)
    for hour, close in enumerate(prices):
        if not 705 <= hour < 705 + missing:
            target.update(bar(hour, close))
    target.update(Tick(721 * HOUR_MS))
    found = reading(target)
    assert (found.n, found.n_24h) == (719 - missing, 23 - missing)
    assert found.status is status
    if status is Status.OK:
        assert found.volatility_24h == pytest.approx(CALM * math.sqrt(20), rel=1e-9)
        assert found.baseline_30d == pytest.approx(CALM * math.sqrt(24), rel=1e-9)
    else:
        assert found.detail == "19 of the last 24 hours are known, 20 are needed"


def test_bars_that_come_late_give_what_bars_in_time_gave() -> None:
    prices = closes([CALM] * 700 + [0.01] * 30)
    late, punctual = feature(), feature()
    list(live(punctual, prices))
    for hour, close in enumerate(prices):
        if not 715 <= hour < 722:
            late.update(bar(hour, close))
    late.update(Tick(731 * HOUR_MS))
    assert reading(late).status is Status.WARMING
    for hour in (721, 718, 715, 716, 720, 719, 717):
        late.update(bar(hour, prices[hour]))
    told = late.update(Tick(731 * HOUR_MS + 5_000))
    numbers = [(r.volatility_24h, r.baseline_30d, r.ratio, r.n) for r in (reading(late), reading(punctual))]
    assert len(told.readings) == 1
    assert numbers[0] == numbers[1]


def test_state_does_not_depend_on_how_often_ticks_come() -> None:
    prices = closes([CALM] * 700 + [0.01] * 24 + [0.004] * 12)
    often, once = (feature(classify_by="absolute", stable_threshold=0.02) for _ in range(2))
    list(live(often, prices))
    for hour, close in enumerate(prices):
        once.update(bar(hour, close))
    told = once.update(Tick(len(prices) * HOUR_MS + 2_000)).events
    assert plain(once.readings()[0]) == plain(often.readings()[0])
    opened = told[0]
    assert opened.phase is Phase.OPENED
    assert opened.started_ms < (len(prices) - 12) * HOUR_MS


def test_episode_that_was_over_before_the_start_is_not_told() -> None:
    target = feature(classify_by="absolute", stable_threshold=0.02)
    prices = closes([CALM] * 700 + [0.02] + [CALM] * 40)
    for hour, close in enumerate(prices):
        target.update(bar(hour, close))
    assert target.update(Tick(len(prices) * HOUR_MS)).events == []
    assert reading(target).vol_regime == "STABLE"


def test_reading_goes_stale_after_a_bar_and_ten_minutes_and_ends_after_a_day() -> None:
    target = feature(classify_by="absolute", stable_threshold=0.005)
    prices = closes([CALM] * 600)
    list(live(target, prices))
    close_ms = len(prices) * HOUR_MS
    assert target.update(Tick(close_ms + 70 * MINUTE_MS)).readings == ()
    stale = target.update(Tick(close_ms + 70 * MINUTE_MS + 1)).readings[0]
    assert (stale.status, stale.as_of_ms) == (Status.STALE, close_ms)
    assert reading(target).volatility_24h is not None
    assert target.update(Tick(close_ms + 10 * HOUR_MS)).readings == ()
    ended = target.update(Tick(close_ms + 24 * HOUR_MS + 1))
    assert [(event.phase, event.why) for event in ended.events] == [(Phase.CLOSED, "no closed bar for 24 h")]
    assert (reading(target).status, reading(target).volatility_24h) == (Status.WARMING, None)
    assert reading(target).detail == "no closed bar since 1970-01-26T01:00:00Z"
    target.update(bar(len(prices) + 23, prices[-1]))
    target.update(Tick(close_ms + 24 * HOUR_MS + 9_000))
    assert reading(target).status is Status.WARMING
    assert reading(target).detail == "0 of the last 24 hours are known, 20 are needed"


def test_price_that_never_moves_is_degenerate_and_raises_nothing() -> None:
    target = feature()
    told = events(live(target, [1.0] * 800))
    found = reading(target)
    assert told == []
    assert (found.status, found.volatility_24h, found.ratio) == (Status.DEGENERATE, 0.0, None)


def test_venue_without_candles_makes_the_symbol_unavailable_with_the_reason() -> None:
    target = VolatilityRegime(VolatilitySettings(), Universe((BTC, "ETH/USDT")))
    target.update(Unavailable(5, "binanceus", "candle", "ETH/USDT", "no such market"))
    target.update(Unavailable(5, "binanceus", "funding", BTC, "no funding"))
    btc, eth = target.update(Tick(10)).readings
    assert btc.status is Status.WARMING
    assert (eth.status, eth.detail) == (Status.UNAVAILABLE, "binanceus: no such market")


def test_open_bars_other_lengths_and_unknown_symbols_are_left_alone() -> None:
    target = feature()
    target.update(bar(1, 5.0, symbol="DOGE/USDT"))
    target.update(Candle("b", BTC, "4h", 0, 1, 1, 1, 1, 1))
    target.update(Candle("b", BTC, "1h", 0, 1, 1, 1, 1, 1, closed=False))
    target.update(Tick(10 * HOUR_MS))
    assert reading(target).as_of_ms is None


def test_symbols_together_give_the_same_bits_as_each_alone() -> None:
    symbols = tuple(f"S{index}/USDT" for index in range(7))
    rng = np.random.default_rng(3)
    prices = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (7, 800)), axis=1))
    together = VolatilityRegime(VolatilitySettings(), Universe(symbols))
    alone = [VolatilityRegime(VolatilitySettings(), Universe((symbol,))) for symbol in symbols]
    for hour in range(800):
        for row, symbol in enumerate(symbols):
            if (hour + row) % 97:
                for target in (together, alone[row]):
                    target.update(bar(hour, float(prices[row, hour]), symbol))
    for target in (together, *alone):
        target.update(Tick(800 * HOUR_MS))
    assert [plain(r) for r in together.readings()] == [plain(target.readings()[0]) for target in alone]


def test_snapshot_for_other_symbols_is_refused() -> None:
    with pytest.raises(DataError, match="snapshot of VolatilityRegime is for other symbols"):
        VolatilityRegime(VolatilitySettings(), Universe(("ETH/USDT",))).restore(feature().snapshot())


def test_thresholds_that_do_not_ascend_are_refused_with_their_values() -> None:
    with pytest.raises(
        ValidationError, match=r"stable_threshold < high_vol_threshold .* \(got 0.06, 0.05, 0.1\)"
    ):
        VolatilitySettings(stable_threshold=0.06)


def test_library_takes_polars_with_gaps_by_time() -> None:
    frame = pl.DataFrame({"ts": [hour * HOUR_MS for hour in range(745)], "close": series(0.052, 4.3)})
    gappy = frame.filter(pl.col("ts") != 700 * HOUR_MS)
    found = classify(gappy["close"], gappy["ts"])
    assert (found.n, found.n_24h, found.vol_regime) == (718, 24, "EXPLOSIVE")
    nulls = frame.with_columns(
        pl.when(pl.col("ts") == 700 * HOUR_MS).then(None).otherwise("close").alias("close")
    )
    assert classify(nulls["close"]) == found


@pytest.mark.parametrize("close", [[1.0, 0.0], [1.0, -2.0], [1.0, math.inf]])
def test_library_refuses_prices_that_cannot_be(close: list[float]) -> None:
    with pytest.raises(DataError, match="close must be positive and finite"):
        classify(close)


def test_library_refuses_times_out_of_order() -> None:
    with pytest.raises(DataError, match="open_ms must ascend"):
        classify([1.0, 2.0], [HOUR_MS, HOUR_MS])


def real(data_dir: Path, symbol: str) -> pl.DataFrame:
    return pl.read_parquet(data_dir / "candles" / f"spot_{symbol}USDT_1h.parquet").sort("ts")


def by_polars(frame: pl.DataFrame) -> pl.DataFrame:
    """Volatility, baseline, ratio and plain state of every hour, from the definitions and by polars alone."""
    times = frame["ts"].to_list()
    hours = pl.DataFrame({"ts": pl.int_range(times[0], times[-1] + 1, HOUR_MS, eager=True)})
    squared = (pl.col("close").log() - pl.col("close").log().shift(1)) ** 2
    count = pl.col("squared").is_not_null().cast(pl.Int64)
    return (
        hours.join(frame.select("ts", "close"), on="ts", how="left")
        .with_columns(squared=squared)
        .with_columns(
            vol=pl.col("squared").rolling_sum(24, min_samples=20).sqrt(),
            n_24h=count.rolling_sum(24, min_samples=1),
            n=count.rolling_sum(720, min_samples=1),
            base=(pl.col("squared").rolling_mean(720, min_samples=480) * 24).sqrt(),
        )
        .with_columns(ratio=pl.col("vol") / pl.col("base"))
        .with_columns(
            level=pl.min_horizontal(
                sum((pl.col("vol") >= bound).cast(pl.Int64) for bound in (0.01, 0.05, 0.10)),
                sum((pl.col("ratio") >= bound).cast(pl.Int64) for bound in (1.0, 1.5, 2.5)),
            ),
            hold=pl.min_horizontal(
                sum((pl.col("vol") >= bound * 0.85).cast(pl.Int64) for bound in (0.01, 0.05, 0.10)),
                sum((pl.col("ratio") >= bound * 0.85).cast(pl.Int64) for bound in (1.0, 1.5, 2.5)),
            ),
        )
        .with_columns(pl.when(pl.col("ratio").is_not_null()).then(pl.col("level", "hold")))
    )


def latched(levels: Sequence[int | None], holds: Sequence[int | None]) -> list[int]:
    """The state with memory: up at once, down after six hours below the lower threshold."""
    state, since, states = 0, -6, []
    for hour, (level, hold) in enumerate(zip(levels, holds, strict=True)):
        if level is not None and hold is not None and (level > state or (hold < state and hour - since >= 6)):
            state, since = max(level, hold) if level <= state else level, hour
        states.append(state)
    return states


NAMES = ["STABLE", "HIGH_VOL", "EXPLOSIVE", "EXTREME"]


@pytest.mark.parametrize("day", ["2021-05-19", "2022-11-08", "2024-08-05"])
@pytest.mark.parametrize("symbol", ["BTC", "ETH", "SOL"])
def test_real_crash_gives_hour_by_hour_what_polars_gives(data_dir: Path, symbol: str, day: str) -> None:
    noon = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
    frame = real(data_dir, symbol).filter(
        pl.col("ts").is_between(noon - 45 * 24 * HOUR_MS, noon + 96 * HOUR_MS)
    )
    wanted = by_polars(frame)
    wanted = wanted.with_columns(
        state=pl.Series(latched(wanted["level"].to_list(), wanted["hold"].to_list()))
    )
    target = feature()
    rows = {row["ts"]: row for row in wanted.iter_rows(named=True)}
    seen, compared = set(), 0
    for ts, close in frame.select("ts", "close").iter_rows():
        target.update(bar(ts // HOUR_MS, close))
        target.update(Tick(ts + HOUR_MS + 2_000))
        ours, theirs = reading(target), rows[ts]
        if ours.status is not Status.OK:
            assert theirs["vol"] is None or theirs["base"] is None
            continue
        assert ours.volatility_24h == pytest.approx(theirs["vol"], rel=1e-7)
        assert ours.baseline_30d == pytest.approx(theirs["base"], rel=1e-7)
        assert (ours.n, ours.n_24h) == (theirs["n"], theirs["n_24h"])
        assert ours.vol_regime == NAMES[theirs["state"]], f"{symbol} at {ts}"
        compared += 1
        if ts >= noon:
            seen.add(NAMES[theirs["level"]])
    assert compared > 400
    assert "EXPLOSIVE" in seen or "EXTREME" in seen, f"{day} was a violent day, polars says {seen}"


@pytest.mark.parametrize("symbol", ["BTC", "ETH", "SOL"])
def test_changing_real_prices_after_a_moment_changes_nothing_before_it(data_dir: Path, symbol: str) -> None:
    frame = real(data_dir, symbol).tail(1_000)
    bars = [bar(ts // HOUR_MS, close) for ts, close in frame.select("ts", "close").iter_rows()]

    def told(candles: Sequence[Candle]) -> list[bytes]:
        target = feature()
        found = []
        for candle in candles:
            target.update(candle)
            found.append(encode(target.update(Tick(candle.open_ms + HOUR_MS + 2_000))))
        return found

    whole = told(bars)
    for cut in (490, 777, 990):
        rng = np.random.default_rng(cut)
        changed = [bar(c.open_ms // HOUR_MS, c.close * rng.uniform(0.5, 2)) for c in bars[cut:]]
        assert told(bars[:cut]) == whole[:cut]
        other = told([*bars[:cut], *changed])
        assert other[:cut] == whole[:cut]
        assert other[cut:] != whole[cut:]
