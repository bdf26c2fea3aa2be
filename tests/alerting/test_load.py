"""How many messages real markets make with the defaults, and that the known crises are among them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from bench.alert_load import RAW, SYMBOLS, WEEK_MS, Span, messages, replayed, weekly
from regimes.alerting.settings import AlertingSettings
from regimes.config import load
from regimes.events import EventType, Severity, iso_utc
from regimes.history import ParquetSource
from regimes.study import Message, Replay
from regimes.timeframe import DAY_MS, HOUR_MS
from tests.conftest import ROOT

SPAN = Span(1_721_001_600_000, 1_724_112_000_000)
"""2024-07-15 to 2024-08-20: ten days of liquidations, the crash of August, and its aftermath."""
CRASH = Span(1_722_816_000_000, 1_722_902_400_000)
SUMMED_END_MS = 1_721_865_600_000
DELAY_MS = 60_000


@pytest.fixture(scope="module")
def done(data_dir: Path) -> Replay:
    return replayed(ParquetSource(data_dir), SPAN)


@pytest.fixture(scope="module")
def told(done: Replay) -> Sequence[Message]:
    return messages(done, AlertingSettings())


def first_hours_of(data_dir: Path, symbol: str, volatility: float, ratio: float) -> list[int]:
    """Closes of the first hour in each run in which 24 h volatility and its ratio to 30 days reach both thresholds."""
    bars = pl.read_parquet(data_dir / f"candles/spot_{symbol.replace('/', '')}_1h.parquet").filter(
        pl.col("ts").is_between(SPAN.start_ms - 31 * DAY_MS, SPAN.end_ms)
    )
    found = bars.with_columns(square=pl.col("close").log().diff() ** 2).with_columns(
        day=pl.col("square").rolling_sum(24).sqrt(), usual=(pl.col("square").rolling_mean(720) * 24).sqrt()
    )
    on = (pl.col("day") >= volatility) & (pl.col("day") / pl.col("usual") >= ratio)
    starts = found.with_columns(on=on.fill_null(value=False)).filter(pl.col("on") & ~pl.col("on").shift(1))
    return [ts + HOUR_MS for ts in starts["ts"].to_list() if ts + HOUR_MS >= SPAN.start_ms]


def test_nothing_of_the_recordings_is_refused(done: Replay) -> None:
    assert not done.rejected
    assert done.observations > 20_000


def test_warnings_and_above_stay_under_ten_a_week(told: Sequence[Message]) -> None:
    assert all(item.event.severity >= Severity.WARNING for item in told)
    assert 7 <= len(told) < 10 * (SPAN.end_ms - SPAN.start_ms) / WEEK_MS
    assert max(weekly(told, SPAN)) < 30, "not even in the week of the crash"


def test_the_raw_thresholds_would_have_sent_many_times_as_many(done: Replay, told: Sequence[Message]) -> None:
    assert len(messages(done, AlertingSettings(**RAW))) > 5 * len(told)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_crash_of_august_is_told_within_a_minute_of_each_threshold(
    data_dir: Path, told: Sequence[Message], symbol: str
) -> None:
    ours = [t for t in told if (t.event.type, t.event.symbol) == (EventType.VOLATILITY_REGIME, symbol)]
    extreme = [hour for hour in first_hours_of(data_dir, symbol, 0.10, 2.5) if hour < CRASH.end_ms]
    assert extreme
    assert CRASH.start_ms <= extreme[0] < CRASH.end_ms
    first = next(t for t in ours if t.event.severity is Severity.CRITICAL)
    assert 0 <= first.ts_ms - extreme[0] < DELAY_MS, iso_utc(first.ts_ms)
    explosive = [hour for hour in first_hours_of(data_dir, symbol, 0.05, 1.5) if hour <= extreme[0]]
    assert any(
        0 <= t.ts_ms - hour < DELAY_MS
        for t in ours
        for hour in explosive
        if t.event.severity is Severity.WARNING
    )


def test_the_hours_with_the_most_liquidations_are_the_ones_told_of(
    data_dir: Path, done: Replay, told: Sequence[Message]
) -> None:
    """After its first day, each message about a cascade falls on or beside one of the busiest hours so far."""
    for symbol in SYMBOLS:
        name = f"liquidations/hourly_um_{symbol.replace('/', '')}_2024-06_07.parquet"
        sums = (
            pl.read_parquet(data_dir / name)
            .filter(pl.col("ts").is_between(SPAN.start_ms, SUMMED_END_MS))
            .sort("ts")
        )
        usd = ((sums["long_liq"] + sums["short_liq"]) * sums["close"]).fill_null(0.0).to_numpy()
        hours = sums["ts"].to_numpy()
        for item in told:
            late = item.ts_ms >= SPAN.start_ms + 2 * DAY_MS
            if late and (item.event.type, item.event.symbol) == (EventType.LIQUIDATION_CASCADE, symbol):
                at = int(np.searchsorted(hours, item.ts_ms, side="right")) - 1
                rank = int(np.sum(usd[: at + 1] > max(usd[at - 1 : at + 1])))
                assert rank <= 1, f"{symbol} {iso_utc(item.ts_ms)}"


def toml_blocks() -> list[str]:
    text = (ROOT / "docs" / "signals.md").read_text()
    return re.findall(r"^```toml\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def test_the_documented_way_to_the_raw_thresholds_is_the_one_that_was_measured(tmp_path: Path) -> None:
    (snippet,) = (block for block in toml_blocks() if "[alerting]" in block)
    path = tmp_path / "regimes.toml"
    path.write_text(snippet)
    settings = load(path, environ={}, folder=tmp_path).alerting
    given: dict[str, Any] = {key: getattr(settings, key) for key in RAW}
    assert given == dict(RAW)
    assert settings == AlertingSettings(**RAW)
