"""The numbers of all five signals from the same arrays: by our functions and by polars.

Each way answers the same outputs, in the same order, so that they can be compared before they are timed:
four correlation matrices (7 days, the 30 days before them, 24 hours, the 30 days before those), volatility and baseline of
each symbol, funding's z and robust z, price z, volume z and heat of each timeframe, and the cascades' velocity.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import polars as pl

from bench.market import DAY, MONTH, VELOCITY_HOURS, WEEK, Data, FloatArray
from regimes.maths import anomaly, spot_regime, volatility
from regimes.maths.correlation import pearson_matrix
from regimes.maths.stats import mean_and_std, z_score

Outputs = Sequence[FloatArray]
Way = Callable[[Data], Outputs]
# Hours of a window, and how many hours before the newest it ends.
WINDOWS: Final = ((WEEK, 0), (MONTH, WEEK), (DAY, 0), (MONTH, DAY))


def ours(data: Data) -> Outputs:
    """The functions that the signals themselves use."""
    end = data.returns.shape[1]
    correlations = [
        pearson_matrix(data.returns[:, end - ago - hours : end - ago]).r for hours, ago in WINDOWS
    ]
    squares = data.returns**2
    vol, _ = volatility.volatility_24h(squares)
    base, _ = volatility.baseline_30d(squares)
    funding = anomaly.measure(data.rates, np.ones(data.rates.shape, dtype=np.bool_))
    frames: list[FloatArray] = []
    for close, volume in zip(data.closes, data.volumes, strict=True):
        mean, std, _ = mean_and_std(close)
        price_z = z_score(close[:, -1], mean, std, scale=mean)
        volume_z = spot_regime.volume_z(volume)
        frames += [price_z, volume_z, spot_regime.heat(price_z, volume_z)]
    hours, rows = np.array(VELOCITY_HOURS), len(data.returns)
    window = np.searchsorted(hours, data.age_hours, side="right")
    sums = np.bincount(window * rows + data.liquidated, data.usd, minlength=len(hours) * rows)
    velocity = np.max(np.cumsum(sums.reshape(-1, rows), axis=0) / hours[:, None], axis=0)
    return [*correlations, vol, base, funding.z, funding.z_robust, *frames, velocity]


def by_polars(data: Data) -> Outputs:
    """polars, as one would write it: frames with a column a symbol, one expression for all columns."""
    returns = _frame(data.returns)
    end = len(returns)
    correlations = [returns.slice(end - ago - hours, hours).corr().to_numpy() for hours, ago in WINDOWS]
    every = pl.all()
    vol = returns.tail(DAY).select((every**2).sum().sqrt())
    base = returns.tail(MONTH).select(((every**2).mean() * 24).sqrt())
    rates = _frame(data.rates)
    z = rates.select((every.last() - every.mean()) / every.std())
    before = every.slice(0, len(rates) - 1)
    deciles = (before.quantile(0.9, "linear") - before.quantile(0.1, "linear")) / 2.563
    spread = rates.select((before - before.median()).abs().median() * 1.4826)
    width = rates.select(deciles)
    away = rates.select(every.last() - before.median())
    robust = _row(away) / np.maximum(np.maximum(_row(spread), _row(width)), 1e-5)
    frames: list[FloatArray] = []
    for close, volume in zip(data.closes, data.volumes, strict=True):
        price_z = _row(_frame(close).select((every.last() - every.mean()) / every.std()))
        volume_z = _row(
            _frame(volume).select(every.log()).select((every.last() - every.mean()) / every.std())
        )
        heat = np.minimum(0.3 * np.abs(price_z) + 0.2 * np.maximum(volume_z, 0), 1)
        frames += [price_z, volume_z, heat]
    velocity = _velocity(data)
    return [*correlations, _row(vol), _row(base), _row(z), robust, *frames, velocity]


def _velocity(data: Data) -> FloatArray:
    age, usd = pl.col("age"), pl.col("usd")
    sums = [(usd.filter(age < hours).sum() / hours).alias(str(hours)) for hours in VELOCITY_HOURS]
    events = pl.DataFrame({"symbol": data.liquidated, "age": data.age_hours, "usd": data.usd})
    fastest = (
        events.group_by("symbol")
        .agg(sums)
        .select("symbol", pl.max_horizontal(map(str, VELOCITY_HOURS)).alias("v"))
    )
    velocity = np.zeros(len(data.returns))
    velocity[fastest["symbol"].to_numpy()] = fastest["v"].to_numpy()
    return velocity


def _frame(rows: FloatArray) -> pl.DataFrame:
    return pl.from_numpy(rows.T)


def _row(frame: pl.DataFrame) -> FloatArray:
    row: FloatArray = frame.to_numpy()[0]
    return row


def disagreement(first: Outputs, second: Outputs) -> float:
    """The largest relative difference between two ways; infinite where they answer other shapes."""
    if [a.shape for a in first] != [b.shape for b in second]:
        return float("inf")
    return max(
        float(np.max(np.abs(a - b) / np.maximum(np.abs(b), 1e-3))) for a, b in zip(first, second, strict=True)
    )
