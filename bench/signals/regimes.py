"""How long the primary regime of the timeframes lasts: `p_persist_24h`, walk-forward."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bench.signals.market import Candles, spot_candles
from bench.signals.score import Row, area_under_curve, calibration_row, ratio_error
from regimes.maths import persistence_frozen, spot_regime
from regimes.maths.calibration import brier_skill, calibration_error
from regimes.maths.stats import FloatArray, IntArray, mean_and_std, z_score

if TYPE_CHECKING:
    from regimes.maths.spot_regime import BoolArray

STEPS: Final = (1, 4, 24, 168)
BARS: Final = 20
ENTER: Final = (0.5, 0.35)
AFTER_HOURS: Final = 24
CELLS: Final = 2 ** (len(STEPS) + 1)
FROZEN: Final = Path(__file__).parents[2] / "regimes/maths/persistence_frozen.py"


class Walk(msgspec.Struct, frozen=True):
    """agreeing: shape (symbols, hours), as `spot_regime.agreement`. persists: 1, 0, or NaN where a timeframe is not known."""

    agreeing: IntArray
    age_hours: FloatArray
    known: "BoolArray"
    share: FloatArray
    persists: FloatArray
    raw_z: FloatArray
    seasonal_z: FloatArray


def walk(candles: Candles) -> Walk:
    """States of all timeframes at every hour, by the functions the feature uses."""
    states, raw_z, seasonal_z = [], np.empty(0), np.empty(0)
    for step in STEPS:
        state, raw, seasonal = _states(candles, step)
        states.append(state)
        if step == 1:
            raw_z, seasonal_z = raw, seasonal
    every = np.stack(states)
    known = ~np.isnan(every)
    shape = every.shape[1:]
    plain = np.nan_to_num(every).astype(np.int64).reshape(len(STEPS), -1)
    primary, agreement, _ = spot_regime.consensus(plain, known.reshape(len(STEPS), -1))
    whole: BoolArray = np.all(known, axis=0)
    agreeing = spot_regime.agreement(plain, primary).reshape(shape)
    persists = np.full(shape, np.nan)
    there: BoolArray = whole[:, :-AFTER_HOURS] & whole[:, AFTER_HOURS:]
    of = primary.reshape(shape)
    persists[:, :-AFTER_HOURS] = np.where(there, of[:, :-AFTER_HOURS] == of[:, AFTER_HOURS:], np.nan)
    share = agreement.reshape(shape) / len(STEPS)
    return Walk(agreeing, _ages(of), whole, share, persists, raw_z, seasonal_z)


def _states(candles: Candles, step: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """State of the newest closed bar of this length at the close of each hour, and the hourly volume z's."""
    # Weeks begin on Monday, 96 hours into 1970; days and four hours begin where weeks do.
    skip = (96 - candles.first_hour) % step
    bars = (candles.hours - skip) // step
    part = candles.bars[3:, :, skip : skip + bars * step].reshape(2, len(candles.symbols), bars, step)
    enough: BoolArray = np.mean(~np.isnan(part[0]), axis=2) >= 0.9
    close = np.where(enough, part[0][:, :, -1], np.nan)
    volume = np.where(enough, np.nan_to_num(part[1]).sum(axis=2), np.nan)
    found = np.full((3, len(candles.symbols), candles.hours), np.nan)
    before = np.zeros(len(candles.symbols), dtype=np.int64)
    closes, volumes = (sliding_window_view(values, BARS, axis=1) for values in (close, volume))
    for number in range(bars - BARS + 1):
        mean, std, count = mean_and_std(closes[:, number])
        price_z = np.where(count == BARS, z_score(close[:, number + BARS - 1], mean, std, scale=mean), np.nan)
        raw = spot_regime.volume_z(volumes[:, number])
        heat = spot_regime.heat(price_z, raw)
        before = spot_regime.next_state(heat, price_z, before, heat_bounds=ENTER, price_z_bounds=ENTER)
        end = skip + (number + BARS) * step
        seasonal = raw
        if step == 1:
            open_ms = (candles.first_hour + end - 1) * 3_600_000
            usual = spot_regime.usual_volume(open_ms, 3_600_000, BARS)
            seasonal = spot_regime.volume_z(volumes[:, number] / usual)
        shown = np.where(np.isnan(price_z), np.nan, before)
        found[:, :, end - 1 : end - 1 + step] = np.stack((shown, raw, seasonal))[:, :, None]
    return found[0], found[1], found[2]


def _ages(primary: IntArray) -> FloatArray:
    """Hours since each primary regime was entered."""
    ages = np.zeros(primary.shape)
    for column in range(1, primary.shape[1]):
        same = primary[:, column] == primary[:, column - 1]
        ages[:, column] = np.where(same, ages[:, column - 1] + 1, 0.0)
    return ages


def fit(found: Walk, until: int) -> FloatArray:
    """Weights of the logistic model from all that was known before column `until`, by Newton's method."""
    columns = np.arange(0, until - AFTER_HOURS, 3)
    happened = found.persists[:, columns]
    known = ~np.isnan(happened)
    agreeing, ages, happened = (
        found.agreeing[:, columns][known],
        found.age_hours[:, columns][known],
        happened[known],
    )
    cell, log_age = np.eye(CELLS)[:, agreeing], np.log1p(ages)
    neutral = agreeing >= CELLS // 2
    terms = np.concatenate((cell, [log_age * ~neutral, log_age * neutral]))
    weights: FloatArray = np.zeros(len(terms))
    for _ in range(12):
        chance = spot_regime.persistence(agreeing, ages, weights)
        curvature = (terms * (chance * (1 - chance))) @ terms.T + np.eye(len(terms))
        weights += np.linalg.solve(curvature, terms @ (happened - chance) - weights)
    return weights


def evaluate(folder: Path, *, start: str = "2023-01-01", shipped: bool = False) -> tuple[str, Sequence[Row]]:
    """All rows of the table."""
    candles = spot_candles(folder)
    found, at = walk(candles), candles.place(start)
    weights = np.array(persistence_frozen.WEIGHTS) if shipped else fit(found, at)
    chance = spot_regime.persistence(found.agreeing, found.age_hours, weights)
    known = found.known & ~np.isnan(found.persists)
    known[:, :at] = False
    usual = np.nanmean(np.where(known, found.persists, np.nan), axis=1, keepdims=True)
    reference = np.broadcast_to(usual, known.shape)
    p, y, share = chance[known], found.persists[known], found.share[known]
    error = ratio_error(
        *(np.where(known, (way - found.persists) ** 2, np.nan) for way in (chance, reference))
    )[1]
    peer = "agreement share"
    skills = {peer: brier_skill(share, y, reference[known]), "each symbol's own rate": 0.0}
    rows = [
        Row("p_persist_24h: Brier skill", brier_skill(p, y, reference[known]), error, skills, None),
        calibration_row("p_persist_24h", p, y, {peer: calibration_error(share, y)}),
        Row("p_persist_24h: AUC", area_under_curve(p, y), None, {peer: area_under_curve(share, y)}, None),
        Row("skew of the hourly volume z", _skew(found.seasonal_z[:, at:]), None, {"plain": _skew(found.raw_z[:, at:])}, None, least=False),
        Row("share of its variance that the hour of week explains", _seasonal(found.seasonal_z[:, at:], candles.first_hour + at), None, {"plain": _seasonal(found.raw_z[:, at:], candles.first_hour + at)}, None, least=False),
    ]  # fmt: skip
    return f"{candles.day(at)} to {candles.day(candles.hours - 1)}, {len(candles.symbols)} symbols", rows


def _skew(values: FloatArray) -> float:
    there = values[~np.isnan(values)]
    return float(np.mean(((there - there.mean()) / there.std()) ** 3))


def _seasonal(values: FloatArray, first_hour: int) -> float:
    hours = (first_hour + np.arange(values.shape[1])) % 168
    means = np.array([np.nanmean(values[:, hours == hour]) for hour in range(168)])
    return float(np.var(means) / np.nanvar(values))


def write(candles: Candles, until: int, path: Path, *, day: str) -> None:
    """Write the module the product imports."""
    rows = fit(walk(candles), until).round(4).tolist()
    lines = "".join("    " + ", ".join(map(repr, rows[at : at + 8])) + ",\n" for at in range(0, len(rows), 8))
    path.write_text(
        f'"""Numbers of `p_persist_24h`, fitted on hourly bars of {len(candles.symbols)} spot symbols from {candles.day(0)}'
        f" to the day before {day}.\n\n"
        "Written by `python -m bench.signals --fit`; see docs/signals.md for what they are and how good they are.\n"
        '"""\n\nfrom typing import Final\n\nTIMEFRAMES: Final = ("1h", "4h", "1d", "1w")\n\n# fmt: off\n'
        f'WEIGHTS: Final = (\n{lines})\n"""Of `regimes.maths.spot_regime.persistence`."""\n'
    )
