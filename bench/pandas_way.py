"""The same numbers by pandas, which only the benchmarks need."""

import numpy as np
import pandas as pd

from bench.market import DAY, MONTH, VELOCITY_HOURS, Data
from bench.ways import WINDOWS, Outputs


def by_pandas(data: Data) -> Outputs:
    """pandas, as one would write it: frames with a column a symbol."""
    returns = pd.DataFrame(data.returns.T)
    end = len(returns)
    correlations = [returns.iloc[end - ago - hours : end - ago].corr() for hours, ago in WINDOWS]
    squares = returns**2
    vol = squares.tail(DAY).sum() ** 0.5
    base = (24 * squares.tail(MONTH).mean()) ** 0.5
    rates = pd.DataFrame(data.rates.T)
    current, history = rates.iloc[-1], rates.iloc[:-1]
    z = (current - rates.mean()) / rates.std()
    median = history.median()
    deciles = (history.quantile(0.9) - history.quantile(0.1)) / 2.563
    spread = np.maximum(1.4826 * (history - median).abs().median(), deciles).clip(lower=1e-5)
    frames: list[pd.Series] = []
    for close, volume in zip(data.closes, data.volumes, strict=True):
        closes, logs = pd.DataFrame(close.T), np.log(pd.DataFrame(volume.T))
        price_z = (closes.iloc[-1] - closes.mean()) / closes.std()
        volume_z = (logs.iloc[-1] - logs.mean()) / logs.std()
        heat = (0.3 * price_z.abs() + 0.2 * volume_z.clip(lower=0)).clip(upper=1)
        frames += [price_z, volume_z, heat]
    events = pd.DataFrame({"symbol": data.liquidated, "age": data.age_hours, "usd": data.usd})
    sums = [
        events[events.age < hours].groupby("symbol").usd.sum().reindex(range(len(data.returns)), fill_value=0)
        / hours
        for hours in VELOCITY_HOURS
    ]
    velocity = pd.concat(sums, axis=1).max(axis=1)
    found = [*correlations, vol, base, z, (current - median) / spread, *frames, velocity]
    return [item.to_numpy() for item in found]
