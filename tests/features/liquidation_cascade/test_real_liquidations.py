"""The recorded half hour of 2025-01-27, against an independent computation by polars."""

from pathlib import Path

import polars as pl
import pytest

from regimes.events import Event, Phase
from regimes.features.base import Universe
from regimes.features.liquidation_cascade import CascadeReading, CascadeSettings, LiquidationCascade
from regimes.observations import FeedGap, Liquidation, Tick

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
HOUR, DAY = 3_600_000, 86_400_000


def recorded(data_dir: Path) -> pl.DataFrame:
    """Session 4: USD is what was filled at the average price, and a SELL closes a long."""
    return (
        pl.read_parquet(data_dir / "liquidations/binance_um_force_orders.parquet")
        .filter(pl.col("session") == 4)
        .with_columns(
            symbol=pl.col("symbol").str.replace(r"(USDT|USDC)$", "/$1"),
            price=pl.coalesce("avg_price", "price"),
            closed=pl.when(pl.col("side") == "SELL").then(pl.lit("long")).otherwise(pl.lit("short")),
        )
        .with_columns(usd=pl.col("filled_qty") * pl.col("price"))
        .sort("ts", maintain_order=True)
    )


def expected(orders: pl.DataFrame, now: int) -> dict[str, float]:
    """Sums to the cent, up to now."""
    seen = orders.filter(pl.col("ts") <= now).with_columns(
        cents=(pl.col("usd") * 100).round(0).cast(pl.Int64)
    )
    sums = {hours: dollars(seen.filter(pl.col("ts") > now - hours * HOUR)) for hours in (1, 4, 12, 24)}
    velocity = max(total / hours for hours, total in sums.items())
    bands = [velocity >= bound for bound in (100e3, 200e3, 400e3, 600e3)]
    return {
        "total": sums[24],
        "long": dollars(seen.filter(pl.col("closed") == "long")),
        "velocity": velocity,
        "severity": 1 + sum(bands) if sums[24] > 500e3 else 0,
        "count": seen.height,
        "largest": max(seen["cents"].to_list(), default=0) / 100,
    }


def dollars(orders: pl.DataFrame) -> float:
    return float(orders.select(pl.col("cents").sum() / 100).item())


def test_totals_velocity_and_severity_are_those_of_polars_all_along(data_dir: Path) -> None:
    orders = recorded(data_dir)
    assert orders.height == 1344
    start = orders["ts"][0] - 1
    feature = LiquidationCascade(CascadeSettings(), Universe(SYMBOLS))
    feature.update(Tick(start))
    feature.update(FeedGap(start, "binanceusdm", "liquidation", None, start - DAY, start, "start"))
    checks = [start + minutes * 60_000 for minutes in (1, 5, 10, 15, 20, 25, 30, 40, 80, 300, 800)]
    events: list[Event] = []
    severities: set[int] = set()
    rows = orders.select("ts", "symbol", "closed", "price", "filled_qty", "usd").rows()
    for now in range(start + 1000, checks[-1] + 1, 1000):
        while rows and rows[0][0] <= now:
            ts, symbol, closed, price, qty, usd = rows.pop(0)
            events += feature.update(Liquidation(ts, "binanceusdm", symbol, closed, price, qty, usd)).events
        events += feature.update(Tick(now)).events
        if now in checks:
            severities |= compare(feature, orders, now)
    assert severities >= {0, 5}
    assert [e.phase for e in events if e.symbol == "ALL" and e.phase is not Phase.UPDATED] == [
        Phase.OPENED,
        Phase.CLOSED,
    ]


def compare(feature: LiquidationCascade, orders: pl.DataFrame, now: int) -> set[int]:
    severities: set[float] = set()
    for reading in feature.readings():
        assert isinstance(reading, CascadeReading)
        ours = orders if reading.symbol == "ALL" else orders.filter(pl.col("symbol") == reading.symbol)
        true = expected(ours, now)
        assert reading.total_liquidation_usd == pytest.approx(true["total"], abs=1e-6)
        assert reading.long_usd == pytest.approx(true["long"], abs=1e-6)
        assert reading.velocity_usd_per_hour == pytest.approx(true["velocity"], rel=1e-12)
        assert reading.severity == true["severity"]
        assert reading.event_count == true["count"]
        assert reading.largest_usd == pytest.approx(true["largest"], abs=1e-6)
        assert reading.is_lower_bound is True
        severities.add(true["severity"])
    return {int(severity) for severity in severities}
