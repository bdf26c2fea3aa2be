"""The product's own multi-timeframe feature led through history, hour by hour."""

import msgspec
import numpy as np

from bench.signals.market import Candles
from regimes.features.base import Status, Universe
from regimes.features.multi_timeframe import MultiTimeframe, RegimeReading, RegimesSettings
from regimes.maths.stats import FloatArray, IntArray
from regimes.observations import Tick
from regimes.timeframe import HOUR_MS
from regimes.windows.inbox import Batch

STATES = {"SPOT_COOLING": -1, "SPOT_NEUTRAL": 0, "SPOT_IGNITION": 1}
UNKNOWN = 8


class Persistence(msgspec.Struct, frozen=True):
    """Each of shape (symbols, hours). primary: -1, 0, 1, or UNKNOWN; age_hours since it was entered."""

    primary: IntArray
    agreement: IntArray
    known: IntArray
    age_hours: FloatArray
    persists: FloatArray
    hour_volume_z: FloatArray


def walk(candles: Candles) -> Persistence:
    """Read the feature once an hour."""
    shape = (len(candles.symbols), candles.hours)
    primary = np.full(shape, UNKNOWN, dtype=np.int64)
    agreement, known = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    age, volume_z = np.full(shape, np.nan), np.full(shape, np.nan)
    feature = MultiTimeframe(RegimesSettings(), Universe(candles.symbols))
    for column in range(candles.hours):
        open_ms = (candles.first_hour + column) * HOUR_MS
        close, volume = candles.bars[3, :, column], candles.bars[4, :, column]
        rows = np.flatnonzero(~np.isnan(close))
        feature.load(Batch(rows, np.full(len(rows), open_ms), close[rows], volume[rows]))
        feature.update(Tick(open_ms + HOUR_MS))
        for row, reading in enumerate(feature.readings()):
            assert isinstance(reading, RegimeReading)
            if reading.status is not Status.OK or reading.primary_regime is None:
                continue
            primary[row, column] = STATES[reading.primary_regime]
            agreement[row, column], known[row, column] = reading.agreement_count, reading.timeframes_ok
            age[row, column] = (open_ms + HOUR_MS - (reading.primary_since_ms or 0)) / HOUR_MS
            volume_z[row, column] = reading.timeframes["1h"].volume_z or np.nan
    persists = np.full(shape, np.nan)
    both = (primary[:, :-24] != UNKNOWN) & (primary[:, 24:] != UNKNOWN)
    persists[:, :-24] = np.where(both, primary[:, :-24] == primary[:, 24:], np.nan)
    return Persistence(primary, agreement, known, age, persists, volume_z)
