"""How heated a price is on one timeframe, and what several timeframes say together.

States are numbers so that many symbols are worked on at once: 1 ignition, -1 cooling, 0 neutral.
"""

from functools import cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from regimes.maths.spot_frozen import LOG_VOLUME_SEASON
from regimes.maths.stats import FloatArray, IntArray, mean_and_std, z_score
from regimes.timeframe import HOUR_MS

BoolArray: TypeAlias = npt.NDArray[np.bool_]
COOLING: Final = -1
NEUTRAL: Final = 0
IGNITION: Final = 1
# Bars with volume that a mean of log volume needs; zero has no logarithm.
MIN_VOLUME_BARS: Final = 15
_SEASON: Final = np.exp(np.array(LOG_VOLUME_SEASON))
# 1970-01-01 was a Thursday.
_MONDAY_HOUR: Final = 96


def volume_z(volume: FloatArray) -> FloatArray:
    """How far the newest volume lies from its window, in standard deviations (ddof 1) of log volume.

    volume: shape (rows, n), any unit. Bars without volume are left out; NaN when the newest is one of them,
    when fewer than MIN_VOLUME_BARS are left, or when all are alike.
    """
    traded = volume > 0
    logs = np.log(volume if traded.all() else np.where(traded, volume, np.nan))
    mean, std, count = mean_and_std(logs)
    return np.where(count >= MIN_VOLUME_BARS, z_score(logs[:, -1], mean, std), np.nan)


def usual_volume(end_ms: int, step_ms: int, bars: int) -> FloatArray:
    """What part of its week's mean each of the last bars usually trades, oldest first; 1 for bars of a week.

    end_ms: open time of the newest. Pooled over symbols, fitted before 2025-02.
    """
    first = (end_ms - (bars - 1) * step_ms) // HOUR_MS - _MONDAY_HOUR
    return _usual_from(first % len(_SEASON), step_ms // HOUR_MS, bars)


@cache
def _usual_from(hour_of_week: int, bar_hours: int, bars: int) -> FloatArray:
    hours = (hour_of_week + np.arange(bars * bar_hours)) % len(_SEASON)
    usual: FloatArray = _SEASON[hours].reshape(bars, -1).mean(axis=1)
    usual.flags.writeable = False
    return usual


def heat(
    price_z: FloatArray, volume_z: FloatArray, *, price_weight: float = 0.3, volume_weight: float = 0.2
) -> FloatArray:
    """Price and volume in one number from 0 to 1: clip(0.3 |price_z| + 0.2 max(volume_z, 0), 0, 1).

    A volume_z that is NaN adds nothing; NaN where price_z is.
    """
    return np.minimum(price_weight * np.abs(price_z) + volume_weight * np.fmax(volume_z, 0.0), 1.0)


def next_states(
    heat: FloatArray,
    price_z: FloatArray,
    before: IntArray,
    *,
    heat_bounds: tuple[float, float],
    price_z_bounds: tuple[float, float],
) -> IntArray:
    """State after each bar, given the state before the first.

    heat, price_z: shape (bars, rows), oldest first. before: shape (rows,). heat_bounds, price_z_bounds: (enter, leave).
    A direction is entered when heat and |price_z| reach their first bounds, and kept while both reach their second
    ones on the same side. NaN is neutral.
    """
    size = np.abs(price_z)
    enters, stays = (
        (heat >= heat_bounds[bound]) & (size >= price_z_bounds[bound]) for bound in range(len(heat_bounds))
    )
    side = (price_z > 0).astype(np.int64) - (price_z < 0)
    states = np.where(enters, side, NEUTRAL)
    for bar, kept in enumerate(stays & ~enters):
        if kept.any():
            states[bar] = np.where(kept & (side[bar] == before), side[bar], states[bar])
        before = states[bar]
    return states


def next_state(
    heat: FloatArray,
    price_z: FloatArray,
    before: IntArray,
    *,
    heat_bounds: tuple[float, float],
    price_z_bounds: tuple[float, float],
) -> IntArray:
    """State after one bar; as `next_states`, with arrays of shape (rows,)."""
    states = next_states(
        heat[None], price_z[None], before, heat_bounds=heat_bounds, price_z_bounds=price_z_bounds
    )
    return np.asarray(states[0])


def consensus(states: IntArray, known: BoolArray) -> tuple[IntArray, IntArray, IntArray]:
    """The state of most timeframes, how many agree with it, and how many are known.

    states, known: shape (timeframes, rows), shortest timeframe first. Of states that are equally common the
    one of the longest timeframe that is not neutral wins. Rows with nothing known are neutral with 0 of 0.
    """
    if known.all():
        seen, count = states, np.full(states.shape[1], len(states), dtype=np.int64)
    else:
        seen, count = np.where(known, states, NEUTRAL), known.sum(axis=0)
    balance, sided = seen.sum(axis=0), np.abs(seen).sum(axis=0)
    # So many are on the one side of the two that has more.
    more = (sided + np.abs(balance)) // 2
    most = np.maximum(more, count - sided)
    turned = (more == most) & (sided > 0)
    primary = np.where(turned, np.sign(balance), NEUTRAL)
    tied = np.flatnonzero(turned & (balance == 0))
    if tied.size:
        longest = len(seen) - 1 - (seen[::-1, tied] != NEUTRAL).argmax(axis=0)
        primary[tied] = seen[longest, tied]
    return primary, most, count


def agreement(states: IntArray, primary: IntArray) -> IntArray:
    """Which timeframes agree with the primary regime, shape (rows,): a bit for each, and one more if it is neutral.

    states: shape (timeframes, rows), all known, shortest timeframe first. primary: shape (rows,).
    """
    bits = np.concatenate((states == primary, [primary == NEUTRAL]))
    return np.asarray((1 << np.arange(len(bits))) @ bits)


def persistence(agreeing: IntArray, age_hours: FloatArray, weights: FloatArray) -> FloatArray:
    """Probability that the primary regime is the same 24 hours on, of any shape: a logistic model.

    agreeing: as `agreement` says. age_hours: since the regime was entered. weights: one for each agreement, then
    what log(1 + age) counts for in regimes that are not neutral, and in neutral ones.
    """
    cells = len(weights) - 2
    slope = weights[np.where(agreeing < cells // 2, cells, cells + 1)]
    score: FloatArray = weights[agreeing] + slope * np.log1p(age_hours)
    return 1.0 / (1.0 + np.exp(-score))
