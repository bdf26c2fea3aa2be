"""What windows of bars of one timeframe say, each row on its own."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from regimes.features.multi_timeframe.settings import RegimesSettings
from regimes.maths import spot_regime
from regimes.maths.stats import FloatArray, IntArray, each_window, latest_valid, mean_and_std, z_score
from regimes.windows.longer import LongerBars

BARS: Final = 20
SLOTS: Final = 24
"""Twenty bars are looked for among so many, so that an exchange outage does not silence a timeframe for long."""

# Status of a timeframe as a number, to be kept in an array.
WARMING: Final = 0
OK: Final = 1
DEGENERATE: Final = 2
STALE: Final = 3


class Scores(NamedTuple):
    """The scores of windows, one element each. found: bars that are there. seasonal_z: enters no state."""

    found: IntArray
    standing: IntArray
    mean: FloatArray
    std: FloatArray
    price_z: FloatArray
    volume_z: FloatArray
    seasonal_z: FloatArray
    heat: FloatArray

    def bar(self, place: int) -> "Scores":
        """Those of one bar, where each bar has a row."""
        return Scores._make(values[place] for values in self)


def score(close: FloatArray, volume: FloatArray, usual: FloatArray, rules: RegimesSettings) -> Scores:
    """Score windows of shape (rows, SLOTS), of which the last bar is there; NaN where another is not.

    usual: what each bar usually trades, of a shape that goes with the windows'.
    """
    latest, found = latest_valid(close, BARS)
    full = found == BARS
    mean, std, _ = mean_and_std(latest)
    price_z = np.where(full, z_score(latest[:, -1], mean, std, scale=mean), np.nan)
    # Together, as one step for both takes little more than one for one.
    both = np.concatenate(
        [latest_valid(volumes, BARS)[0].T for volumes in (volume, volume / usual)], axis=1
    ).T
    volume_z, seasonal_z = np.where(full, spot_regime.volume_z(both).reshape(2, -1), np.nan)
    heat = spot_regime.heat(
        price_z, volume_z, price_weight=rules.price_weight, volume_weight=rules.volume_weight
    )
    moved = ~np.isnan(price_z)
    standing = np.where(full, np.where(moved, OK, DEGENERATE), WARMING)
    return Scores(found, standing, mean, np.where(moved, std, np.nan), price_z, volume_z, seasonal_z, heat)


def state_bounds(rules: RegimesSettings) -> dict[str, Any]:
    """The thresholds of a state, as `spot_regime.next_state` takes them."""
    return {
        "heat_bounds": (rules.heat_enter, rules.heat_leave),
        "price_z_bounds": (rules.price_z_enter, rules.price_z_leave),
    }


class Closing(NamedTuple):
    """The bars of one timeframe that close within some hours.

    bar_ms: their open times. closed: how many of them are with each hour. scores: of shape (bars, symbols). state,
    standing: shape (bars + 1, symbols), as it stands before and after each bar.
    """

    bar_ms: Sequence[int]
    closed: Sequence[int]
    scores: Scores
    state: IntArray
    standing: IntArray


def closing(
    bars: LongerBars,
    hours_ms: Sequence[int],
    before_ms: int,
    state: IntArray,
    standing: IntArray,
    rules: RegimesSettings,
) -> Closing | None:
    """Score the bars that close within hours in a row, all of them in place; None where one lacks too many hours.

    before_ms: open time of the bar scored last. state, standing: where it led, shape (symbols,).
    """
    ends_ms = [bars.newest_closed_ms(hour_ms) for hour_ms in hours_ms]
    closed = [(end_ms - before_ms) // bars.step_ms for end_ms in ends_ms]
    count = closed[-1]
    # The first window ends before them: it is there so that there is one even if none closes.
    close, volume = bars.complete(ends_ms[-1], SLOTS + count)
    if np.isnan(close[:, SLOTS:]).any():
        return None
    shape = (count, len(state))
    closes, volumes = (each_window(values, SLOTS)[len(state) :] for values in (close, volume))
    bar_ms = [before_ms + (place + 1) * bars.step_ms for place in range(count)]
    usual = np.empty((count, SLOTS))
    for place, end_ms in enumerate(bar_ms):
        usual[place] = spot_regime.usual_volume(end_ms, bars.step_ms, SLOTS)
    found = score(closes, volumes, np.repeat(usual, len(state), axis=0), rules)
    scores = Scores._make(values.reshape(shape) for values in found)
    states = spot_regime.next_states(scores.heat, scores.price_z, state, **state_bounds(rules))
    return Closing(
        bar_ms,
        closed,
        scores,
        np.concatenate((state[None], states)),
        np.concatenate((standing[None], scores.standing)),
    )
