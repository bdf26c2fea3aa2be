"""Regimes on several timeframes: worked rules, gaps, events, and real markets beside polars."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from regimes.errors import ConfigError, DataError
from regimes.events import Event, Phase, Severity
from regimes.features.base import Status, Universe
from regimes.features.multi_timeframe import (
    MultiTimeframe,
    RegimeReading,
    RegimesSettings,
    TimeframeReading,
    classify,
)
from regimes.observations import Candle, Tick
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS, WEEK_MS
from tests.features.checks import encode

BTC = "BTC/USDT"
MONDAY_MS = 1_704_067_200_000  # 2024-01-01T00:00Z
FRAMES = ("1h", "4h", "1d", "1w")


def bar(hour: int, close: float, volume: float = 10.0, symbol: str = BTC) -> Candle:
    return Candle("binanceus", symbol, "1h", MONDAY_MS + hour * HOUR_MS, close, close, close, close, volume)


def feature(timeframes: Sequence[str] = ("1h",), **settings: object) -> MultiTimeframe:
    return MultiTimeframe(RegimesSettings.model_validate(settings), Universe((BTC,), tuple(timeframes)))


def drive(target: MultiTimeframe, bars: Sequence[Candle]) -> list[Event]:
    """Each bar and a Tick two seconds after its close."""
    told: list[Event] = []
    for candle in bars:
        target.update(candle)
        told += target.update(Tick(candle.open_ms + HOUR_MS + 2_000)).events
    return told


def reading(target: MultiTimeframe) -> RegimeReading:
    found = target.readings()[0]
    assert isinstance(found, RegimeReading)
    return found


def frame(target: MultiTimeframe, timeframe: str = "1h") -> TimeframeReading:
    return reading(target).timeframes[timeframe]


def wave(count: int, *, start: int = 0) -> list[Candle]:
    """A price that swings a little and ends near its mean, on steady volume."""
    return [bar(hour, 100 + math.sin(hour * 2.4)) for hour in range(start, start + count)]


def test_speaks_from_the_twentieth_closed_bar() -> None:
    target = feature()
    drive(target, wave(19))
    assert (reading(target).status, reading(target).primary_regime, frame(target).n) == (
        Status.WARMING,
        None,
        19,
    )
    drive(target, wave(1, start=19))
    assert (reading(target).status, reading(target).primary_regime) == (Status.OK, "SPOT_NEUTRAL")


def test_price_z_and_volume_z_are_those_of_numpy_and_heat_is_their_sum() -> None:
    target = feature()
    bars = [*wave(30), bar(30, 104.0, 40.0)]
    drive(target, bars)
    close = np.array([c.close for c in bars[-20:]])
    logs = np.log([c.base_volume for c in bars[-20:]])
    price_z = (104.0 - close.mean()) / close.std(ddof=1)
    volume_z = (logs[-1] - logs.mean()) / logs.std(ddof=1)
    found = frame(target)
    assert found.price_z == pytest.approx(price_z, rel=1e-9)
    assert found.volume_z == pytest.approx(volume_z, rel=1e-9)
    assert found.heat == pytest.approx(min(0.3 * price_z + 0.2 * volume_z, 1), rel=1e-9)
    assert found.regime == "SPOT_IGNITION"


@pytest.mark.parametrize(
    ("jump", "wanted"), [(6.0, "SPOT_IGNITION"), (-6.0, "SPOT_COOLING"), (0.2, "SPOT_NEUTRAL")]
)
def test_jump_gives_the_state_of_its_direction(jump: float, wanted: str) -> None:
    target = feature()
    drive(target, [*wave(24), bar(24, 100 + jump, 30.0)])
    assert frame(target).regime == wanted
    shown = msgspec.json.decode(msgspec.json.encode(reading(target)))
    assert shown["1h_regime"] == shown["timeframes"]["1h"]["regime"] == wanted


def test_every_configured_timeframe_has_its_own_key() -> None:
    target = feature(FRAMES)
    shown = msgspec.json.decode(msgspec.json.encode(reading(target)))
    assert [key for key in shown if key.endswith("_regime")] == [
        "primary_regime",
        *(f"{t}_regime" for t in FRAMES),
    ]
    assert list(shown["timeframes"]) == list(FRAMES)


def test_longest_timeframe_speaks_after_the_history_it_asks_for_whatever_the_weekday() -> None:
    need = feature(FRAMES).warmup()[0]
    assert need.span_ms == 21 * WEEK_MS
    for offset in (0, 1, 77, 167):
        target = feature(FRAMES)
        for candle in wave(need.span_ms // HOUR_MS, start=offset):
            target.update(candle)
        target.update(Tick(candle.open_ms + HOUR_MS))
        found = {t: frame(target, t).n for t in FRAMES}
        assert found == dict.fromkeys(FRAMES, 20), offset


def test_unfinished_bar_is_shown_apart_with_its_share_and_enters_no_state() -> None:
    target = feature(("1h", "1d"))
    days = [bar(hour, 100 + (hour // 24) % 2) for hour in range(21 * 24)]
    drive(target, days)
    assert reading(target).provisional == {}
    before = frame(target, "1d")
    drive(target, [bar(21 * 24 + hour, 150.0, 500.0) for hour in range(12)])
    close = np.array([c.close for c in days[23::24][-20:]])
    unfinished = reading(target).provisional["1d"]
    assert unfinished.fraction == 0.5
    assert unfinished.price_z == pytest.approx((150 - close.mean()) / close.std(ddof=1), rel=1e-9)
    assert frame(target, "1d") == before


def test_missing_hour_is_bridged_by_an_older_bar_and_too_many_silence_the_timeframe() -> None:
    bars = wave(40)
    bridged, silent = feature(), feature()
    drive(bridged, bars[:30] + bars[34:])
    assert (reading(bridged).status, frame(bridged).n) == (Status.OK, 20)
    close = np.array([c.close for c in (bars[:30] + bars[34:])[-20:]])
    assert frame(bridged).price_z == pytest.approx((close[-1] - close.mean()) / close.std(ddof=1), rel=1e-9)
    drive(silent, bars[:30] + bars[35:])
    assert (reading(silent).status, frame(silent).n, frame(silent).price_z) == (Status.WARMING, 19, None)


def test_longer_bar_without_enough_hours_leaves_the_bar_before_standing_as_stale() -> None:
    target = feature(("1h", "4h"))
    bars = wave(21 * 4)
    drive(target, bars)
    before = frame(target, "4h")
    drive(target, [c for c in wave(4, start=84) if c.open_ms != MONDAY_MS + 85 * HOUR_MS])
    after = frame(target, "4h")
    assert after.status is Status.STALE
    assert (after.price_z, after.as_of_ms) == (before.price_z, before.as_of_ms)
    assert reading(target).timeframes_ok == 1
    drive(target, wave(1, start=85))
    assert frame(target, "4h").status is Status.OK
    assert frame(target, "4h").as_of_ms == MONDAY_MS + 88 * HOUR_MS


def test_bar_that_comes_again_is_not_counted_twice() -> None:
    target = feature(("1h", "4h"))
    bars = [bar(hour, 100 + hour % 5, 1.0 + hour % 7) for hour in range(100)]
    drive(target, bars)
    told = encode(reading(target))
    again = MultiTimeframe(RegimesSettings(), Universe((BTC,), ("1h", "4h")))
    again.restore(target.snapshot())
    for candle in bars:
        again.update(candle)
    again.update(Tick(bars[-1].open_ms + HOUR_MS + 3_000))
    drive(again, [bar(100, 101.0), bar(101, 102.0), bar(102, 103.0), bar(103, 104.0)])
    drive(target, [bar(100, 101.0), bar(101, 102.0), bar(102, 103.0), bar(103, 104.0)])
    assert encode(reading(again)) == encode(reading(target)) != told


def test_price_that_does_not_move_is_degenerate_and_says_so() -> None:
    target = feature()
    drive(target, [bar(hour, 61_234.5, 1 + hour % 4) for hour in range(40)])
    found = reading(target)
    assert (found.status, found.primary_regime) == (Status.DEGENERATE, None)
    assert found.detail == "the price has not moved for 20 bars"
    assert (frame(target).status, frame(target).price_z, frame(target).heat) == (
        Status.DEGENERATE,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("volumes", "known"), [((0.0,), False), ((0.0, 5.0), True), ((0.0,) * 6 + (5.0,), False)]
)
def test_bars_without_volume_leave_volume_z_and_heat_rests_on_the_price(
    volumes: tuple[float, ...],
    known: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    target = feature()
    drive(target, [*wave(24), *(bar(24 + i, 100.0 + i, volume) for i, volume in enumerate(volumes))])
    found = frame(target)
    assert found.status is Status.OK
    assert (found.volume_z is not None) is known
    if not known:
        assert found.price_z is not None
        assert found.heat == pytest.approx(min(0.3 * abs(found.price_z), 1), rel=1e-12)


def shift(target: MultiTimeframe, start: int, jump: float, hours: int = 1) -> list[Event]:
    return drive(target, [bar(start + i, 100 + jump * (i + 1), 60.0) for i in range(hours)])


def test_change_with_confidence_opens_one_event_that_closes_when_the_regime_is_left() -> None:
    target = feature(alert_min_timeframes=1)
    assert drive(target, wave(30)) == []
    opened = shift(target, 30, 6.0)
    assert [(e.phase, e.severity, e.data["primary_regime"]) for e in opened] == [
        (Phase.OPENED, Severity.WARNING, "SPOT_IGNITION")
    ]
    assert opened[0].data["previous_regime"] == "SPOT_NEUTRAL"
    assert opened[0].data["1h_regime"] == "SPOT_IGNITION"
    assert opened[0].why == "primary regime is SPOT_IGNITION, confidence 1/1 >= 0.70"
    assert reading(target).alert_level is Severity.WARNING
    left = drive(target, wave(12, start=31))
    assert [(e.phase, e.severity, e.data["primary_regime"]) for e in left[:2]] == [
        (Phase.CLOSED, Severity.WARNING, left[0].data["primary_regime"]),
        (Phase.OPENED, left[1].severity, left[0].data["primary_regime"]),
    ]
    assert left[0].id == opened[0].id != left[1].id
    assert left[0].data["duration_hours"] == (left[0].ts_ms - opened[0].started_ms) / HOUR_MS


def test_regime_of_the_first_reading_is_no_change() -> None:
    target = feature(alert_min_timeframes=1)
    assert drive(target, [*wave(19), bar(19, 106.0, 60.0)]) == []
    assert reading(target).primary_regime == "SPOT_IGNITION"


def test_change_without_enough_agreement_waits_for_it() -> None:
    target = feature(("1h", "4h"))
    drive(target, wave(88))
    assert shift(target, 88, 6.0) == []
    assert (reading(target).primary_regime, reading(target).confidence) == ("SPOT_IGNITION", 0.5)
    told = shift(target, 89, 6.0, hours=3)
    assert [(e.phase, e.data["confidence"]) for e in told] == [(Phase.OPENED, 1.0)]
    assert told[0].started_ms == MONDAY_MS + 89 * HOUR_MS
    assert told[0].ts_ms == MONDAY_MS + 92 * HOUR_MS


def test_one_timeframe_alone_is_no_agreement() -> None:
    target = feature(("1h", "1w"))
    drive(target, wave(30))
    assert shift(target, 30, 6.0) == []
    assert (reading(target).confidence, reading(target).timeframes_ok) == (1.0, 1)


def test_quiet_makes_stale_then_ends_the_event_and_forgets_the_state() -> None:
    target = feature(alert_min_timeframes=1)
    drive(target, wave(30))
    shift(target, 30, 6.0)
    close_ms = MONDAY_MS + 31 * HOUR_MS
    assert target.update(Tick(close_ms + 70 * MINUTE_MS)).readings == ()
    assert target.update(Tick(close_ms + 71 * MINUTE_MS)).readings[0].status is Status.STALE
    assert reading(target).primary_regime == "SPOT_IGNITION"
    ended = target.update(Tick(close_ms + DAY_MS + 1))
    assert [event.phase for event in ended.events] == [Phase.CLOSED]
    assert ended.events[0].data["primary_regime"] is None
    assert (reading(target).status, reading(target).primary_regime) == (Status.WARMING, None)
    assert reading(target).alert_level is None


def test_state_does_not_depend_on_how_often_ticks_come() -> None:
    bars = [*wave(200), *(bar(200 + i, 104 - i * 0.1, 30.0) for i in range(20))]
    often, once = feature(("1h", "4h")), feature(("1h", "4h"))
    drive(often, bars)
    for candle in bars:
        once.update(candle)
    once.update(Tick(bars[-1].open_ms + HOUR_MS + 2_000))
    ours, theirs = (msgspec.to_builtins(reading(target)) for target in (often, once))
    for found in (ours, theirs):
        del found["primary_since_ms"], found["alert_level"]
    assert ours == theirs


@pytest.mark.parametrize("timeframes", [("15m", "1h"), ("90m",)])
def test_timeframe_that_hours_cannot_build_is_refused_with_the_remedy(timeframes: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="cannot be built from hourly bars; use whole hours"):
        feature(timeframes)


@pytest.mark.parametrize("timeframes", [("4h", "1h"), ("1h", "1h"), ()])
def test_timeframes_out_of_order_are_refused(timeframes: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="from short to long, each once"):
        feature(timeframes)


@pytest.mark.parametrize("others", [("1h", "2h"), ("1h",)])
def test_snapshot_for_other_timeframes_is_refused(others: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=r"snapshot of MultiTimeframe is for .*: start without it"):
        feature(others).restore(feature(("1h", "4h")).snapshot())


def test_leaving_above_entering_is_refused() -> None:
    with pytest.raises(ValidationError, match="heat_leave must be <= heat_enter"):
        RegimesSettings(heat_leave=0.6)


def real(data_dir: Path, symbol: str, day: str, weeks: int) -> pl.DataFrame:
    end_ms = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
    frame = pl.read_parquet(data_dir / "candles" / f"spot_{symbol}USDT_1h.parquet").sort("ts")
    return frame.filter(pl.col("ts").is_between(end_ms - weeks * WEEK_MS, end_ms, closed="left"))


def by_polars(hours: pl.DataFrame, every: str, per_bar: int) -> pl.DataFrame:
    """Complete bars of one timeframe with their statistics, by polars alone; `at` is the close time."""
    logs = pl.when(pl.col("volume") > 0).then(pl.col("volume").log())
    of_logs = pl.col("logs")
    return (
        hours.with_columns(at=pl.from_epoch("ts", time_unit="ms"))
        .group_by_dynamic("at", every=every, start_by="monday" if every == "1w" else "window")
        .agg(pl.col("close").last(), pl.col("volume").sum(), pl.len())
        .filter(pl.col("len") >= 0.9 * per_bar)
        .with_columns(at=pl.col("at").dt.epoch("ms") + per_bar * HOUR_MS, logs=logs)
        .with_columns(
            price_z=(pl.col("close") - pl.col("close").rolling_mean(20)) / pl.col("close").rolling_std(20),
            volume_z=(of_logs - of_logs.rolling_mean(20, min_samples=15))
            / of_logs.rolling_std(20, min_samples=15),
        )
        .with_columns(
            heat=(0.3 * pl.col("price_z").abs() + 0.2 * pl.col("volume_z").clip(0).fill_null(0)).clip(0, 1),
        )
        .drop_nulls("heat")
    )


def with_memory(bars: pl.DataFrame) -> dict[int, tuple[float, float | None, float, str]]:
    """Close time to price_z, volume_z, heat and state."""
    state, found = "SPOT_NEUTRAL", {}
    for at, price_z, volume_z, heat in bars.select("at", "price_z", "volume_z", "heat").iter_rows():
        side = "SPOT_IGNITION" if price_z > 0 else "SPOT_COOLING"
        if heat >= 0.5 and abs(price_z) >= 0.5:
            state = side
        elif not (heat >= 0.35 and abs(price_z) >= 0.35 and side == state):
            state = "SPOT_NEUTRAL"
        found[at] = (price_z, volume_z, heat, state)
    return found


@pytest.mark.parametrize(
    ("symbol", "day"), [("BTC", "2024-08-07"), ("ETH", "2022-11-10"), ("SOL", "2021-05-21")]
)
def test_real_market_gives_on_every_timeframe_what_polars_gives(
    data_dir: Path, symbol: str, day: str
) -> None:
    hours = real(data_dir, symbol, day, weeks=22)
    wanted = {
        timeframe: with_memory(by_polars(hours, timeframe, per_bar))
        for timeframe, per_bar in zip(FRAMES, (1, 4, 24, 168), strict=True)
    }
    target = feature(FRAMES)
    compared = dict.fromkeys(FRAMES, 0)
    for ts, close, volume in hours.select("ts", "close", "volume").iter_rows():
        target.update(Candle("b", BTC, "1h", ts, close, close, close, close, volume))
        target.update(Tick(ts + HOUR_MS + 2_000))
        for timeframe, found in reading(target).timeframes.items():
            if found.status is not Status.OK:
                continue
            assert found.as_of_ms is not None
            price_z, volume_z, heat, state = wanted[timeframe][found.as_of_ms]
            assert found.price_z == pytest.approx(price_z, rel=1e-6, abs=1e-9)
            assert (found.volume_z is None) is (volume_z is None)
            assert (found.volume_z or 0.0) == pytest.approx(volume_z or 0.0, rel=1e-6, abs=1e-9)
            assert found.heat == pytest.approx(heat, rel=1e-6, abs=1e-9)
            assert found.regime == state, f"{timeframe} at {ts}"
            compared[timeframe] += found.as_of_ms == ts + HOUR_MS
    assert compared["1h"] > 3_500
    assert compared["4h"] > 850
    assert compared["1d"] > 130
    assert compared["1w"] >= 2
    assert reading(target).timeframes_ok == 4


@pytest.mark.parametrize("symbol", ["BTC", "ETH", "SOL"])
def test_changing_real_bars_after_a_moment_changes_nothing_before_it(data_dir: Path, symbol: str) -> None:
    hours = real(data_dir, symbol, "2024-08-07", weeks=4)
    bars = [
        Candle("b", BTC, "1h", ts, close, close, close, close, volume)
        for ts, close, volume in hours.select("ts", "close", "volume").iter_rows()
    ]

    def told(candles: Sequence[Candle]) -> list[bytes]:
        target = feature(FRAMES)
        found = []
        for candle in candles:
            target.update(candle)
            found.append(encode(target.update(Tick(candle.open_ms + HOUR_MS + 2_000))))
        return found

    whole = told(bars)
    for cut in (100, 501, 660):
        rng = np.random.default_rng(cut)
        changed = [
            msgspec.structs.replace(c, close=c.close * rng.uniform(0.5, 2), base_volume=rng.uniform(1, 9))
            for c in bars[cut:]
        ]
        other = told([*bars[:cut], *changed])
        assert other[:cut] == whole[:cut]
        assert other[cut:] != whole[cut:]


def test_library_gives_what_the_feature_gives_on_real_bars(data_dir: Path) -> None:
    hours = real(data_dir, "BTC", "2024-08-05", weeks=22)
    target = feature(FRAMES)
    for ts, close, volume in hours.select("ts", "close", "volume").iter_rows():
        target.update(Candle("b", BTC, "1h", ts, close, close, close, close, volume))
    target.update(Tick(hours["ts"][-1] + HOUR_MS))
    found = classify(hours["close"], hours["volume"], hours["ts"])
    assert found.timeframes == reading(target).timeframes
    assert (found.primary_regime, found.confidence) == (
        reading(target).primary_regime,
        reading(target).confidence,
    )
    assert found.timeframes_ok == 4


@pytest.mark.parametrize(
    ("close", "volume", "times", "words"),
    [
        ([1.0], [1.0, 2.0], [0, HOUR_MS], "of one length"),
        ([1.0, 2.0], [1.0, 2.0], [HOUR_MS, 0], "ascend by hours"),
        ([1.0, math.nan], [1.0, 2.0], [0, HOUR_MS], "leave missing bars out"),
        ([1.0, 2.0], [1.0, -2.0], [0, HOUR_MS], "volume not negative"),
    ],
)
def test_library_refuses_series_that_cannot_be(
    close: list[float], volume: list[float], times: list[int], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        classify(close, volume, times)
