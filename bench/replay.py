"""The past through the engine: two years of hours and funding, a million liquidations, and what that takes of memory."""

import resource
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from bench.market import invent
from bench.pandas_way import by_pandas
from bench.report import Aim, Report, Result
from bench.timing import cpu_seconds
from regimes.config.settings import Origin, settings_type
from regimes.feeds import recordings
from regimes.history import open_source
from regimes.study import Replay, replay
from regimes.timeframe import DAY_MS, HOUR_MS

SYMBOLS: Final = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
BEFORE_DAYS: Final = 150
DAYS: Final = 365
FULL_DAYS: Final = 730
ORDERS: Final = 250_000
FULL_ORDERS: Final = 1_000_000
ORDER_DAYS: Final = 30
STRANGERS: Final = 200
"""Symbols that are liquidated and not watched."""
HOURS_AIM_S: Final = 3.0
ORDERS_AIM_S: Final = 10.0
GROWTH_MB: Final = 30.0
PANDAS_HOURS: Final = 100
START_MS: Final = 1_672_531_200_000


def run(*, full: bool = False) -> Report:
    """Invent the recordings, replay them."""
    days, count = (FULL_DAYS, FULL_ORDERS) if full else (DAYS, ORDERS)
    with tempfile.TemporaryDirectory(prefix="regimes-bench-") as name:
        hours, orders = Path(name) / "hours", Path(name) / "orders"
        write_hours(hours, BEFORE_DAYS + days)
        write_hours(orders, ORDER_DAYS)
        from_ms = START_MS + BEFORE_DAYS * DAY_MS
        replayed(hours, from_ms, from_ms + 3 * DAY_MS)
        hours_s = cpu_seconds(partial(replayed, hours, from_ms, from_ms + days * DAY_MS))
        write_orders(orders, count // 4)
        replayed(orders, START_MS, START_MS + ORDER_DAYS * DAY_MS)
        before_mb = peak_mb()
        write_orders(orders, count)
        orders_s = cpu_seconds(partial(replayed, orders, START_MS, START_MS + ORDER_DAYS * DAY_MS))
        growth_mb = peak_mb() - before_mb
    pandas_s = cpu_seconds(in_pandas) / PANDAS_HOURS * days * 24
    return Report(
        name="replay",
        title="the past through engine and policy, seconds of CPU on one core",
        results=[
            Result(
                what=f"3 symbols x {days} days of hourly candles and funding",
                unit="s",
                ours=hours_s,
                peers={"pandas, a loop": pandas_s},
                aim=Aim(HOURS_AIM_S * days / FULL_DAYS),
            ),
            Result(
                what=f"{count:,} liquidations in {ORDER_DAYS} days, and the candles of the time",
                unit="s",
                ours=orders_s,
                aim=Aim(ORDERS_AIM_S * count / FULL_ORDERS),
            ),
            Result(
                what="memory at most, four times the liquidations",
                unit="MB",
                ours=growth_mb,
                aim=Aim(GROWTH_MB),
            ),
        ],
        notes=[
            f"pandas: the numbers of the signals worked out anew at each hour; {PANDAS_HOURS} hours were timed",
            "both of ours with files read, history before the span, all five features, episodes, and the policy",
        ],
    )


def replayed(folder: Path, from_ms: int, to_ms: int) -> Replay:
    """Replay a folder with the defaults."""
    settings = settings_type()().replaced(Origin("bench", ""), symbols=SYMBOLS)
    return replay(open_source(folder), settings, from_ms, to_ms)


def in_pandas() -> None:
    """Work some hours out in pandas."""
    data = invent(len(SYMBOLS))
    for _ in range(PANDAS_HOURS):
        by_pandas(data)


def peak_mb() -> float:
    """The most memory this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def write_hours(folder: Path, days: int) -> None:
    """Invent candles and funding of each symbol, stormy one day in six."""
    rng, count = np.random.default_rng(1), days * 24
    opens = START_MS + np.arange(count) * HOUR_MS
    scale = np.where(np.arange(count) // 24 % 6 == 5, 0.02, 0.005)
    common = rng.normal(0, 1, count)
    for symbol in SYMBOLS:
        steps = scale * (0.8 * common + 0.6 * rng.normal(0, 1, count))
        close = 100 * np.exp(np.cumsum(steps))
        before = np.concatenate([[100.0], close[:-1]])
        columns: dict[str, Any] = {
            "ts": opens,
            "open": before,
            "high": np.maximum(before, close),
            "low": np.minimum(before, close),
            "close": close,
            "volume": rng.lognormal(0, 1, count),
        }
        name = symbol.replace("/", "")
        _write(recordings.candle_file(folder, "spot", name, "1h"), columns)
        rates = {"ts": opens[::8], "rate": rng.normal(1e-4, 5e-5, count // 8)}
        _write(recordings.funding_file(folder, name), rates)


def write_orders(folder: Path, count: int) -> None:
    """Invent forced orders of many symbols, half of them in clusters."""
    rng, span_ms = np.random.default_rng(2), ORDER_DAYS * DAY_MS
    near = rng.choice(rng.integers(0, span_ms, 50), count) + rng.exponential(HOUR_MS, count).astype(np.int64)
    times = np.where(rng.random(count) < 0.5, near, rng.integers(0, span_ms, count)) % span_ms
    names = [symbol.replace("/", "") for symbol in SYMBOLS] + [f"COIN{n}USDT" for n in range(STRANGERS)]
    amounts = np.round(rng.lognormal(0, 1.5, count), 3) + 0.001
    prices = np.round(100 + rng.normal(0, 1, count), 2)
    columns: dict[str, Any] = {
        "ts": np.sort(START_MS + times),
        "symbol": rng.choice(names, count),
        "side": rng.choice(["BUY", "SELL"], count),
        **dict.fromkeys(("qty", "last_qty", "filled_qty"), amounts),
        **dict.fromkeys(("price", "avg_price"), prices),
    }
    _write(folder / "liquidations" / "some_force_orders.parquet", columns)


def _write(path: Path, columns: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(columns).write_parquet(path)
