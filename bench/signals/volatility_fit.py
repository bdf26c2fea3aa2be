"""Fitting what the product ships: everything of `regimes.maths.forecast_frozen`, from data before one day."""

import textwrap
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from bench.signals.market import Candles
from bench.signals.volatility_walk import HALF_LIFE_HOURS, Walk, first_profile, fitted, running_forecast, walk
from regimes.maths import forecast_state
from regimes.maths.calibration import Table, isotonic
from regimes.maths.stats import FloatArray
from regimes.maths.volatility import levels

STATE_SHARES: Final = (0.60, 0.85, 0.97)
RESIDUAL_SHARES: Final = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)
CLUSTER_TIMES: Final = 1.5
# The first out-of-sample forecasts: the running fit begins with the year and a half before.
RUN_FROM: Final = "2021-07-01"
DEFAULT_ABSOLUTE: Final = (0.01, 0.05, 0.10)
DEFAULT_RELATIVE: Final = (1.0, 1.5, 2.5)


class Frozen(msgspec.Struct, frozen=True):
    """What is fitted once. multipliers: for each plain state, mean and deviation of what followed."""

    profile: FloatArray
    coefficients: FloatArray
    information: FloatArray
    residuals: tuple[float, ...]
    clustering: Table
    extreme: Table
    thresholds: tuple[float, ...]
    multipliers: tuple[tuple[float, float], ...]


def clustering_score(found: Walk, log_forecast: FloatArray) -> FloatArray:
    """How far the forecast is above 1.5 baselines, in logarithms of variance."""
    return log_forecast - np.log(CLUSTER_TIMES**2 * found.baseline)


def extreme_score(found: Walk, log_forecast: FloatArray) -> FloatArray:
    """How far the forecast is above the 90th percentile of the symbol's own year."""
    return log_forecast - np.log(found.year_p90)


def clustered(found: Walk) -> FloatArray:
    """Whether the next day's volatility was 1.5 baselines or more; NaN where unknown."""
    return _happened(found.realised, CLUSTER_TIMES**2 * found.baseline, inclusive=True)


def extreme(found: Walk) -> FloatArray:
    """Whether it was above the 90th percentile of the symbol's own year."""
    return _happened(found.realised, found.year_p90, inclusive=False)


def _happened(realised: FloatArray, bound: FloatArray, *, inclusive: bool) -> FloatArray:
    known = ~np.isnan(realised) & ~np.isnan(bound)
    above = realised >= bound if inclusive else realised > bound
    return np.where(known, above, np.nan)


def table(score: FloatArray, happened: FloatArray, until: int, *, every: int = 3) -> Table:
    """The isotonic table of all that was known before column `until`."""
    columns = np.arange(0, until - 24, every)
    known = ~np.isnan(score[:, columns]) & ~np.isnan(happened[:, columns])
    return isotonic(score[:, columns][known], happened[:, columns][known])


def state_score(found: Walk, log_forecast: FloatArray) -> FloatArray:
    """Score of the calibrated state, every hour."""
    return forecast_state.score(log_forecast, found.log_season, found.year_p90)


def thresholds(score: FloatArray, until: int) -> tuple[float, ...]:
    """Scores from which the states above STABLE begin: fixed shares of all hours before column `until`."""
    before = score[:, :until]
    found: list[float] = np.quantile(before[~np.isnan(before)], STATE_SHARES).tolist()
    return tuple(found)


def plain_levels(found: Walk) -> FloatArray:
    """Plain state of each hour by the default thresholds, without memory; NaN where unknown."""
    vol, base = np.sqrt(found.day), np.sqrt(found.baseline)
    known = ~np.isnan(vol) & ~np.isnan(base)
    level = levels(
        vol.ravel(),
        (vol / base).ravel(),
        absolute=DEFAULT_ABSOLUTE,
        relative=DEFAULT_RELATIVE,
        classify_by="both",
    ).reshape(vol.shape)
    return np.where(known, level, np.nan)


def followed(found: Walk, level: int, columns: slice) -> FloatArray:
    """Next day's volatility over the baseline after each hour in this plain state."""
    multiple = np.sqrt(found.realised / found.baseline)[:, columns]
    chosen = (plain_levels(found)[:, columns] == level) & ~np.isnan(multiple)
    kept: FloatArray = multiple[chosen]
    return kept


def freeze(candles: Candles, until: int) -> Frozen:
    """Fit everything from the candles before column `until`."""
    before = Candles(candles.symbols, candles.first_hour, candles.bars[:, :, :until])
    profile = first_profile(before, until)
    found = walk(before, first_profile(before, candles.place(RUN_FROM)))
    coefficients, information = fitted(found, until, half_life_hours=HALF_LIFE_HOURS)
    log_forecast = running_forecast(found, candles.place(RUN_FROM))
    surprise = (np.log(found.realised) - log_forecast)[:, ::3]
    every = slice(0, until)
    after = [followed(found, level, every) for level in range(4)]
    return Frozen(
        profile=profile,
        coefficients=coefficients,
        information=information,
        residuals=tuple(np.quantile(surprise[~np.isnan(surprise)], RESIDUAL_SHARES).tolist()),
        clustering=table(clustering_score(found, log_forecast), clustered(found), until),
        extreme=table(extreme_score(found, log_forecast), extreme(found), until),
        thresholds=thresholds(state_score(found, log_forecast), until),
        multipliers=tuple((float(a.mean()), float(a.std())) for a in after),
    )


def write(frozen: Frozen, path: Path, *, day: str, symbols: int, first_day: str) -> None:
    """Write the module the product imports."""
    lower = frozen.information[np.tril_indices(len(frozen.information))]
    head = (
        f'"""Numbers of the volatility forecast, fitted on {symbols} spot symbols, {first_day} to the day before {day}.\n\n'
        "Written by `python -m bench.signals --fit`; see docs/signals.md for what they are and how good they are.\n"
        '"""\n\nfrom typing import Final\n\nfrom regimes.maths.calibration import Table\n\n# fmt: off\n'
    )
    parts = [
        _constant("PROFILE", frozen.profile.tolist(), "Share of variance of each hour of the week, from Monday 00:00 UTC; mean 1.", 3),
        _constant("COEFFICIENTS", frozen.coefficients.tolist(), "In the order of `regimes.maths.forecast.TERMS`.", 5),
        _constant("INFORMATION", lower.tolist(), "Lower triangle of the information they rest on, row by row.", None),
        _constant("RESIDUAL_SHARES", list(RESIDUAL_SHARES), "Shares of outcomes below each of RESIDUALS.", None),
        _constant("RESIDUALS", list(frozen.residuals), "Logarithm of realised over forecast variance.", 4),
        _table("CLUSTERING", frozen.clustering, "P(next 24 h volatility >= 1.5 x baseline)."),
        _table("EXTREME", frozen.extreme, "P(next 24 h volatility > the year's 90th percentile)."),
        _constant("THRESHOLDS", list(frozen.thresholds), "Scores from which the calibrated states above STABLE begin.", 4),
        _pairs("MULTIPLIERS", frozen.multipliers, "Mean and deviation of next 24 h volatility over baseline, by plain state."),
    ]  # fmt: skip
    path.write_text(head + "\n".join(parts))


def _constant(name: str, values: list[float], words: str, digits: int | None) -> str:
    shown = [f"{v:.4g}" if digits is None else repr(round(v, digits)) for v in values]
    return f'{name}: Final = (\n{_lines(shown)}\n)\n"""{words}"""\n'


def _table(name: str, made: Table, words: str) -> str:
    score, probability = (
        _lines([repr(round(v, 4)) for v in values]) for values in (made.score, made.probability)
    )
    return f'{name}: Final = Table(\n    (\n{score}\n    ),\n    (\n{probability}\n    ),\n)\n"""{words}"""\n'


def _pairs(name: str, pairs: tuple[tuple[float, float], ...], words: str) -> str:
    shown = ", ".join(f"({mean:.3f}, {deviation:.3f})" for mean, deviation in pairs)
    return f'{name}: Final = ({shown})\n"""{words}"""\n'


def _lines(values: list[str]) -> str:
    return textwrap.fill(", ".join(values) + ",", 100, initial_indent="    ", subsequent_indent="    ")
