"""The calibrated layer of the volatility regime, walk-forward from 2023."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from bench.signals import volatility_fit as fits
from bench.signals.market import Candles, spot_candles
from bench.signals.peers import installed
from bench.signals.score import Row, area_under_curve, block_error, calibration_row, ratio_error
from bench.signals.volatility_peers import autoregressive, garch, har, month
from bench.signals.volatility_states import hidden
from bench.signals.volatility_walk import Walk, first_profile, fitted, frozen_forecast, running_forecast, walk
from regimes.maths import forecast_frozen, forecast_state
from regimes.maths.calibration import Table, brier_skill
from regimes.maths.forecast_fit import qlike
from regimes.maths.stats import FloatArray, IntArray
from regimes.maths.volatility import log_returns

START: Final = "2023-01-01"
MAJORS: Final = ("BTC", "ETH", "SOL")
RETABLE_HOURS: Final = 30 * 24
STATE_ASKED: Final = {
    "switches a week": (2.0, 3.0),
    "dwells < 6 h": (0.03, 0.03),
    "AUC, next-24h extreme": (0.69, 0.78),
}
AUC: Final = 2


def evaluate(folder: Path, *, start: str = START, shipped: bool = False) -> tuple[str, Sequence[Row]]:
    """All rows of the table. shipped: judge the numbers the product ships instead of fitting walk-forward."""
    candles = spot_candles(folder)
    at = candles.place(start)
    profile = (
        np.array(forecast_frozen.PROFILE) if shipped else first_profile(candles, candles.place(fits.RUN_FROM))
    )
    found = walk(candles, profile)
    coefficients = np.array(forecast_frozen.COEFFICIENTS) if shipped else fitted(found, at)[0]
    frozen = frozen_forecast(found, coefficients)
    running = running_forecast(found, at if shipped else candles.place(fits.RUN_FROM))
    used = frozen if shipped else running
    rows = [*_forecasts(candles, found, at, frozen, running), *_interval(found, used, at)]
    rows += _probabilities(candles, found, used, at, shipped=shipped)
    rows += _state(candles, found, used, at, shipped=shipped)
    rows += _multipliers(candles, found, at)
    span = f"{candles.day(at)} to {candles.day(candles.hours - 1)}, {len(candles.symbols)} symbols"
    return span, rows


def _forecasts(candles: Candles, found: Walk, at: int, frozen: FloatArray, running: FloatArray) -> list[Row]:
    squares = np.full_like(found.realised, np.nan)
    squares[:, 1:] = log_returns(candles.bars[3]) ** 2
    majors, every = candles.rows(MAJORS), list(range(len(candles.symbols)))
    peer = har(squares, found, at)
    # arch's fits take minutes, so only the majors have them.
    returns = np.full((len(majors), candles.hours), np.nan)
    returns[:, 1:] = log_returns(candles.bars[3, majors])
    ways = {"HAR-RV": peer, "30-day mean": month(found)}
    if installed("arch"):
        ways["GARCH(1,1), arch"] = by_garch = np.full_like(found.realised, np.nan)
        by_garch[majors] = garch(returns, at)
    if installed("statsmodels"):
        ways["AR(22) of log variance, statsmodels"] = autoregressive(found, at)
    judged = ~np.isnan(found.realised) & ~np.isnan(peer) & ~np.isnan(frozen) & ~np.isnan(running)
    judged[:, :at] = False
    losses = {name: _loss(found, way, judged) for name, way in ways.items()}
    rows = []
    for name, log_forecast, bars in (("O(1)", frozen, (0.90, 0.86)), ("refit", running, (0.80, 0.74))):
        loss = _loss(found, np.exp(log_forecast), judged)
        for where, which, asked in (("majors", majors, bars), ("all symbols", every, None)):
            value, error = ratio_error(loss[which], losses["HAR-RV"][which])
            whole = {n: o[which] for n, o in losses.items() if not np.isnan(o[which]).all(axis=1).any()}
            peers = {n: ratio_error(o, losses["HAR-RV"][which])[0] for n, o in whole.items()}
            rows.append(Row(f"QLIKE / HAR-RV, {name}, {where}", value, error, peers, asked, least=False))
        better = float(np.mean(np.nanmean(loss, axis=1) < np.nanmean(losses["HAR-RV"], axis=1)))
        rows.append(Row(f"share of symbols that beat HAR-RV, {name}", better, None, {}, (0.90, 0.95)))
    return rows


def _loss(
    found: Walk, forecast: FloatArray, judged: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
) -> FloatArray:
    return np.where(judged, qlike(found.realised, forecast), np.nan)


def _interval(found: Walk, log_forecast: FloatArray, at: int) -> list[Row]:
    surprise = np.log(found.realised) - log_forecast
    before = surprise[:, : at - 24]
    low, high = np.nanquantile(before, (0.1, 0.9))
    now = surprise[:, at:]
    inside = np.where(np.isnan(now), np.nan, (now >= low) & (now <= high))
    return [Row("share inside the 80 % interval", float(np.nanmean(inside)), block_error(inside), {}, None)]


def _probabilities(
    candles: Candles, found: Walk, log_forecast: FloatArray, at: int, *, shipped: bool
) -> list[Row]:
    kinds: Mapping[str, tuple[FloatArray, FloatArray, Table, tuple[float, float]]] = {
        "clustering_probability": (
            fits.clustering_score(found, log_forecast),
            fits.clustered(found),
            forecast_frozen.CLUSTERING,
            (0.09, 0.12),
        ),
        "p_extreme": (
            fits.extreme_score(found, log_forecast),
            fits.extreme(found),
            forecast_frozen.EXTREME,
            (0.15, 0.20),
        ),
    }
    rows = []
    for name, (score, happened, table, asked) in kinds.items():
        probability = table(score) if shipped else _walked(score, happened, at)
        for where, which in (("majors", candles.rows(MAJORS)), ("all symbols", list(range(len(score))))):
            rows += _reliability(f"{name}, {where}", probability[which, at:], happened[which, at:], asked)
    return rows


def _walked(score: FloatArray, happened: FloatArray, at: int) -> FloatArray:
    """Probabilities by tables that are fitted anew every thirty days on all that was known."""
    probability = np.full_like(score, np.nan)
    for first in range(at, len(score[0]), RETABLE_HOURS):
        part = slice(first, first + RETABLE_HOURS)
        probability[:, part] = fits.table(score, happened, first)(score[:, part])
    return probability


def _reliability(
    name: str, probability: FloatArray, happened: FloatArray, asked: tuple[float, float]
) -> list[Row]:
    known = ~np.isnan(probability) & ~np.isnan(happened)
    usual = np.nanmean(np.where(known, happened, np.nan), axis=1, keepdims=True)
    reference = np.broadcast_to(usual, happened.shape)
    p, y = probability[known], happened[known]
    skill = brier_skill(p, y, reference[known])
    loss = np.where(known, (probability - happened) ** 2, np.nan)
    error = ratio_error(loss, np.where(known, (reference - happened) ** 2, np.nan))[1]
    return [
        Row(f"{name}: Brier skill", skill, error, {"each symbol's own rate": 0.0}, asked),
        calibration_row(name, p, y, asked=(0.02, 0.01)),
        Row(f"{name}: AUC", area_under_curve(p, y), None, {}, None),
    ]


def _state(candles: Candles, found: Walk, log_forecast: FloatArray, at: int, *, shipped: bool) -> list[Row]:
    score = fits.state_score(found, log_forecast)
    thresholds = forecast_frozen.THRESHOLDS if shipped else fits.thresholds(score, at)
    levels = _levels(score, thresholds)
    plain = np.nan_to_num(fits.plain_levels(found)).astype(np.int64)
    rows = []
    for where, which in (("majors", candles.rows(MAJORS)), ("all symbols", list(range(len(score))))):
        happened = fits.extreme(found)[which, at:]
        ways = {"ours": levels[which], "plain, no memory": plain[which]}
        if where == "majors" and installed("hmmlearn"):
            ways["4 hidden states of returns, hmmlearn"] = _hidden(candles, at)
        judged = {
            name: (*_habits(way[:, at:]), _mean_auc(way[:, at:], happened)) for name, way in ways.items()
        }
        ours = judged.pop("ours")
        named = f"calibrated state, {where}"
        for place, (what, asked) in enumerate(STATE_ASKED.items()):
            peers = {name: numbers[place] for name, numbers in judged.items()}
            rows.append(Row(f"{named}: {what}", ours[place], None, peers, asked, least=place == AUC))
    return rows


def _hidden(candles: Candles, at: int) -> IntArray:
    """States of a hidden Markov model of the majors' hourly returns."""
    majors = candles.rows(MAJORS)
    returns = np.full((len(majors), candles.hours), np.nan)
    returns[:, 1:] = log_returns(candles.bars[3, majors])
    return hidden(returns, at)


def _levels(score: FloatArray, thresholds: Sequence[float]) -> IntArray:
    levels = np.zeros(score.shape, dtype=np.int64)
    level, since = levels[:, 0], np.full(len(score), -10_000)
    for column in range(len(score[0])):
        after = forecast_state.next_level(score[:, column], level, column - since, tuple(thresholds))
        since = np.where(after != level, column, since)
        levels[:, column] = level = after
    return levels


def _habits(levels: IntArray) -> tuple[float, float]:
    """Switches a week, and share of dwells under six hours, means over symbols."""
    switches = [np.flatnonzero(np.diff(row)) for row in levels]
    weeks = len(levels[0]) / 168
    short = [float(np.mean(np.diff(at) < 6)) if len(at) > 1 else 0.0 for at in switches]
    return float(np.mean([len(at) for at in switches])) / weeks, float(np.mean(short))


def _mean_auc(levels: IntArray, happened: FloatArray) -> float:
    known = ~np.isnan(happened)
    pairs = zip(levels, happened, known, strict=True)
    return float(np.mean([area_under_curve(row[k].astype(float), h[k]) for row, h, k in pairs]))


def _multipliers(candles: Candles, found: Walk, at: int) -> list[Row]:
    rows = []
    configured = (0.7, 1.2, 1.8, 2.5)
    before: Callable[[int], FloatArray] = lambda level: fits.followed(found, level, slice(0, at - 24))  # noqa: E731
    for level, name in enumerate(("STABLE", "HIGH_VOL", "EXPLOSIVE", "EXTREME")):
        after = fits.followed(found, level, slice(at, candles.hours))
        error = float(after.std() / np.sqrt(max(len(after) / 24, 1)))
        peers = {"configured": configured[level], "known before": float(before(level).mean())}
        rows.append(Row(f"realised multiplier after {name}", float(after.mean()), error, peers, None))
    return rows
