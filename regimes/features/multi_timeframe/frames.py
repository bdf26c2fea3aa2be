"""Every timeframe of every symbol: its bars, its newest score, its state."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from regimes.errors import ConfigError
from regimes.features.base import Snapshot, Status
from regimes.features.hourly import CATCH_UP_HOURS, Rows, taken
from regimes.features.multi_timeframe.reading import Provisional, TimeframeReading
from regimes.features.multi_timeframe.scores import (
    OK,
    SLOTS,
    STALE,
    WARMING,
    Closing,
    Scores,
    closing,
    score,
    state_bounds,
)
from regimes.features.multi_timeframe.settings import RegimesSettings
from regimes.maths import spot_regime
from regimes.maths.spot_regime import COOLING, IGNITION, NEUTRAL
from regimes.maths.stats import FloatArray, IntArray, nullable
from regimes.timeframe import HOUR_MS, to_ms
from regimes.windows.bars import BoolArray
from regimes.windows.inbox import Batch
from regimes.windows.longer import HoursSeen, LongerBars

NAMES: Final = {IGNITION: "SPOT_IGNITION", NEUTRAL: "SPOT_NEUTRAL", COOLING: "SPOT_COOLING"}
_NAMELESS: Final = 8
_STATUS: Final = (Status.WARMING, Status.OK, Status.DEGENERATE, Status.STALE)

Frames: TypeAlias = tuple[TimeframeReading, ...]
"""One symbol on each timeframe."""


class PerSymbol(Protocol):
    """Makes an array with a last axis of symbols that is part of every snapshot."""

    def __call__(self, name: str, fill: float, *layers: int) -> npt.NDArray[Any]:
        """Make it, full of one value."""
        ...


class Timeframes:
    """Bars and scores; arrays have shape (timeframes, symbols), shortest timeframe first."""

    def __init__(
        self, settings: RegimesSettings, timeframes: Sequence[str], symbols: int, per_symbol: PerSymbol
    ) -> None:
        self._settings = settings
        self.names = tuple(timeframes)
        self.steps = _steps(timeframes)
        self._symbols = symbols
        layers = len(self.steps)
        self._longer = [
            LongerBars(symbols, _capacity(step), step, completeness=settings.completeness)
            for step in self.steps
        ]
        longest = max(self.steps)
        self._seen = HoursSeen(symbols, _capacity(longest) * longest // HOUR_MS)
        self.standing: IntArray = per_symbol("standing", WARMING, layers)
        self.state: IntArray = per_symbol("state", NEUTRAL, layers)
        self._bar_ms: IntArray = per_symbol("bar_ms", -1, layers)
        self._as_of_ms: IntArray = per_symbol("as_of_ms", -1, layers)
        self.found: IntArray = per_symbol("n", 0, layers)
        self._mean: FloatArray = per_symbol("mean", np.nan, layers)
        self._std: FloatArray = per_symbol("std", np.nan, layers)
        self._price_z: FloatArray = per_symbol("price_z", np.nan, layers)
        self._volume_z: FloatArray = per_symbol("volume_z", np.nan, layers)
        self._seasonal_z: FloatArray = per_symbol("volume_z_seasonal", np.nan, layers)
        self._heat: FloatArray = per_symbol("heat", np.nan, layers)
        self._fraction: FloatArray = per_symbol("fraction", np.nan, layers)
        self._open_z: FloatArray = per_symbol("provisional_price_z", np.nan, layers)

    @property
    def known(self) -> BoolArray:
        """Which timeframes have a state."""
        known: BoolArray = self.standing == OK
        return known

    def store(self, batch: Batch) -> BoolArray:
        """Put hours into the bars; say which were taken."""
        bars: Sequence[Any] = batch.rows, batch.times, batch.close, batch.volume
        new = self._seen.mark(*bars[:2])
        if not new.all():
            bars = [values if isinstance(values, int) else values[new] for values in bars]
        for longer in self._longer:
            longer.add(*bars)
        return new

    def present(self, hour_ms: int) -> BoolArray:
        """Which symbols have this hour."""
        return self._seen.at(hour_ms)

    def judge(self, rows: IntArray, hour_ms: int, again: BoolArray) -> None:
        """Score the bars that are closed once this hour is, where that was not done. again: do it in any case."""
        ends_ms = [longer.newest_closed_ms(hour_ms) for longer in self._longer]
        at = self._at(rows)
        for layer, end_ms in enumerate(ends_ms):
            due = (self._bar_ms[layer, at] != end_ms) | again
            if due.any():
                self._measure(layer, rows[due], end_ms)

    def look_ahead(self, rows: IntArray, hour_ms: int) -> None:
        """Note the unfinished bars, which enter no state."""
        at = self._at(rows)
        for layer, longer in enumerate(self._longer):
            unfinished = longer.unfinished(hour_ms)
            if unfinished is None:
                self._fraction[layer, at] = np.nan
                continue
            close, fraction = unfinished
            self._fraction[layer, at] = fraction
            self._open_z[layer, at] = (close[at] - self._mean[layer, at]) / self._std[layer, at]

    def forget(self, rows: IntArray) -> None:
        """Claim nothing of these symbols."""
        self.standing[:, rows], self.state[:, rows] = WARMING, NEUTRAL
        self.found[:, rows], self._fraction[:, rows] = 0, np.nan

    def begin_anew(self, rows: IntArray) -> None:
        """Score the next bars of these symbols, whichever they are."""
        self._bar_ms[:, rows] = -1

    def readings(self, rows: IntArray) -> Callable[[], list[list[TimeframeReading]]]:
        """Readings of every timeframe as of now: for each a list, with one of each of these symbols."""
        standing, state, found = (taken(a, rows) for a in (self.standing, self.state, self.found))
        price_z, volume_z, heat = (taken(a, rows) for a in (self._price_z, self._volume_z, self._heat))
        as_of_ms, seasonal_z = taken(self._as_of_ms, rows), taken(self._seasonal_z, rows)

        def frames() -> list[list[TimeframeReading]]:
            speaks = standing != WARMING
            scored = speaks & ~np.isnan(price_z)
            names = np.where(scored, state, _NAMELESS).tolist()
            times = np.where(speaks, as_of_ms, -1).tolist()
            shown = (
                np.where(scored, price_z, np.nan),
                np.where(speaks, volume_z, np.nan),
                np.where(scored, heat, np.nan),
            )
            seasonal = np.where(speaks, seasonal_z, np.nan)
            return [
                list(
                    map(
                        TimeframeReading,
                        map(_STATUS.__getitem__, standing[layer].tolist()),
                        map(NAMES.get, names[layer]),
                        *(nullable(values[layer]) for values in shown),
                        [None if time < 0 else time for time in times[layer]],
                        found[layer].tolist(),
                        nullable(seasonal[layer]),
                    )
                )
                for layer in range(len(self.steps))
            ]

        return frames

    def provisional(self, rows: IntArray) -> Callable[[], list[dict[str, Provisional]]]:
        """The unfinished bars of these symbols as of now, by timeframe."""
        fractions, price_zs = taken(self._fraction, rows), taken(self._open_z, rows)

        def provisional() -> list[dict[str, Provisional]]:
            found: list[dict[str, Provisional]] = [{} for _ in rows]
            for timeframe, fraction, price_z in zip(self.names, fractions, price_zs, strict=True):
                at = np.flatnonzero(~np.isnan(fraction))
                bars = map(Provisional, fraction[at].tolist(), nullable(price_z[at]))
                for index, bar in zip(at.tolist(), bars, strict=True):
                    found[index][timeframe] = bar
            return found

        return provisional

    def snapshot(self) -> Snapshot:
        """The bars."""
        return {"longer": [longer.snapshot() for longer in self._longer], "seen": self._seen.snapshot()}

    def restore(self, snapshot: Snapshot) -> None:
        """Take back the bars; the arrays are back already."""
        for longer, kept in zip(self._longer, snapshot["longer"], strict=True):
            longer.restore(kept)
        self._seen.restore(snapshot["seen"])

    def _measure(self, layer: int, rows: IntArray, end_ms: int) -> None:
        """Judge the bar that opened at `end_ms` on one timeframe."""
        close, volume = self._longer[layer].complete(end_ms, SLOTS)
        at = self._at(rows)
        close, volume = close[at], volume[at]
        self._bar_ms[layer, at] = end_ms
        complete = ~np.isnan(close[:, -1])
        if not complete.all():
            self._pass_over(layer, rows[~complete])
            rows, close, volume = rows[complete], close[complete], volume[complete]
        if rows.size:
            self._score(layer, rows, close, volume)

    def _pass_over(self, layer: int, rows: IntArray) -> None:
        """The newest bar lacks too many hours: what the bar before said stands, marked as stale."""
        stands = self.standing[layer, rows] != WARMING
        self.standing[layer, rows] = np.where(stands, STALE, WARMING)

    def _score(self, layer: int, rows: IntArray, close: FloatArray, volume: FloatArray) -> None:
        at, bar_ms = self._at(rows), int(self._bar_ms[layer, rows[0]])
        usual = spot_regime.usual_volume(bar_ms, self.steps[layer], SLOTS)
        scores = score(close, volume, usual, self._settings)
        state = spot_regime.next_state(
            scores.heat, scores.price_z, self.state[layer, at], **state_bounds(self._settings)
        )
        self._take_over(layer, at, bar_ms, scores, state)

    def _take_over(self, layer: int, at: Rows, bar_ms: int, scores: Scores, state: IntArray) -> None:
        self.standing[layer, at], self.state[layer, at] = scores.standing, state
        self._as_of_ms[layer, at] = bar_ms + self.steps[layer]
        self.found[layer, at] = scores.found
        self._mean[layer, at], self._std[layer, at] = scores.mean, scores.std
        self._price_z[layer, at], self._volume_z[layer, at] = scores.price_z, scores.volume_z
        self._seasonal_z[layer, at], self._heat[layer, at] = scores.seasonal_z, scores.heat

    def closing(self, hours_ms: Sequence[int]) -> list[Closing] | None:
        """What closes on each timeframe in hours that all symbols have; None where they must be judged one by one."""
        found = []
        for layer, longer in enumerate(self._longer):
            before_ms = longer.newest_closed_ms(hours_ms[0] - HOUR_MS)
            if (self._bar_ms[layer] != before_ms).any():
                return None
            bars = closing(
                longer, hours_ms, before_ms, self.state[layer], self.standing[layer], self._settings
            )
            if bars is None:
                return None
            found.append(bars)
        return found

    def pass_to(self, bars: Sequence[Closing], hour: int) -> None:
        """Take over what has closed by one of these hours."""
        for layer, (bar_ms, closed, scores, state, _) in enumerate(bars):
            newest = closed[hour] - 1
            if newest >= 0 and self._bar_ms[layer, 0] != bar_ms[newest]:
                self._bar_ms[layer] = bar_ms[newest]
                self._take_over(layer, slice(None), bar_ms[newest], scores.bar(newest), state[newest + 1])

    def _at(self, rows: IntArray) -> Rows:
        return slice(None) if len(rows) == self._symbols else rows


def _capacity(step_ms: int) -> int:
    """Bars to keep: those looked at, those that close while catching up, and the unfinished one."""
    return SLOTS + math.ceil(CATCH_UP_HOURS * HOUR_MS / step_ms) + 1


def _steps(timeframes: Sequence[str]) -> tuple[int, ...]:
    """Lengths in ms, checked: longer bars are built from hourly ones."""
    steps = tuple(to_ms(timeframe) for timeframe in timeframes)
    for timeframe, step in zip(timeframes, steps, strict=True):
        if step % HOUR_MS:
            raise ConfigError(
                f"timeframes: {timeframe} cannot be built from hourly bars; use whole hours, such as 1h, 4h, 1d, 1w"
            )
    if not steps or list(steps) != sorted(set(steps)):
        raise ConfigError(
            f"timeframes must be given from short to long, each once (got {', '.join(timeframes)})"
        )
    return steps
