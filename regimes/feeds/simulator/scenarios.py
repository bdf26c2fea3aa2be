"""What is made to happen in the synthetic market soon after it opens, and when."""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from regimes.feeds.simulator.source import FloatArray
from regimes.timeframe import HOUR_MS, MINUTE_MS, bar_open

Scenario: TypeAlias = Literal[
    "calm", "cascade", "funding-spike", "vol-explosion", "correlation-break", "mixed"
]
SCENARIOS: Final[tuple[Scenario, ...]] = get_args(Scenario)

_CASCADE_AFTER_MS: Final = 3 * MINUTE_MS
_CASCADE_ROOM_MS: Final = 20 * MINUTE_MS
_STRAY_RECOVERY: Final = 1.5
_EXPLOSION_HOURS: Final = 24
_BREAK_HOURS: Final = 72


@dataclass(frozen=True, slots=True)
class Cascade:
    """A fall fed by liquidations, all within one hour.

    fall: log return of a market of unit beta from onset to its low; recovery: share of it regained by the hour's end.
    stray: place of a symbol that falls with the others and ends the hour above where it began.
    quiet_hours: what is liquidated, in ordinary hours of each symbol; hits: of how many symbols, None for all.
    """

    onset_ms: int
    fall_ms: int = 7 * MINUTE_MS
    fall: float = 0.055
    recovery: float = 0.45
    stray: int | None = None
    quiet_hours: float = 110.0
    hits: int | None = None

    def recovery_of(self, symbol: int) -> float:
        """The share of its fall that one symbol regains."""
        return _STRAY_RECOVERY if symbol == self.stray else self.recovery


@dataclass(slots=True)
class Shaping:
    """How a scenario bends the market; every array runs over the hours of history and future.

    volatility: multiplies the market's, shape (hours,). least_shock: smallest size of the market's hourly shock
    in its own standard deviations, shape (hours,). loading: multiplies each symbol's tie to the market,
    shape (symbols, hours). premium: added to each perpetual's premium, same shape.
    """

    volatility: FloatArray
    least_shock: FloatArray
    loading: FloatArray
    premium: FloatArray
    cascades: list[Cascade] = field(default_factory=list)


def shape(scenario: Scenario, first_hour_ms: int, hours: int, symbols: int, start_ms: int) -> Shaping:
    """Place the scenario's happenings on the hours that begin at `first_hour_ms`."""
    shaping = Shaping(np.ones(hours), np.zeros(hours), np.ones((symbols, hours)), np.zeros((symbols, hours)))
    now = (start_ms - first_hour_ms) // HOUR_MS
    if scenario == "cascade":
        shaping.cascades.append(Cascade(_cascade_onset(start_ms)))
    if scenario == "mixed":
        # One symbol goes its own way, so that a correlation breaks at the first close and not only days later. The
        # cascade is smaller: an hour later its velocity over four hours must not be that of a crisis any more.
        stray = 1 if symbols > 1 else None
        shaping.cascades.append(Cascade(_cascade_onset(start_ms), stray=stray, quiet_hours=55.0, hits=2))
        _crowd_longs(shaping.premium[:1], start_ms, first_hour_ms, 0.0014)
    if scenario == "funding-spike":
        _crowd_longs(shaping.premium, start_ms, first_hour_ms, 0.003)
    if scenario in {"vol-explosion", "mixed"}:
        _explode(shaping, now + (1 if scenario == "vol-explosion" else 6))
    if scenario in {"correlation-break", "mixed"}:
        _break_ties(shaping, now + (1 if scenario == "correlation-break" else 36))
    return shaping


def _cascade_onset(start_ms: int) -> int:
    """Three minutes in, or early in the next hour where too little of this one is left for the whole fall."""
    onset = start_ms + _CASCADE_AFTER_MS
    hour_ms = bar_open(onset, HOUR_MS)
    if hour_ms + HOUR_MS - onset < _CASCADE_ROOM_MS:
        hour_ms += HOUR_MS
    return max(onset, hour_ms + MINUTE_MS)


def _crowd_longs(premium: FloatArray, start_ms: int, first_hour_ms: int, by: float) -> None:
    """Raise the premium of symbols in the running eight-hour interval and the next one."""
    first = (bar_open(start_ms, 8 * HOUR_MS) - first_hour_ms) // HOUR_MS
    premium[:, first : first + 16] += by


def _explode(shaping: Shaping, hour: int) -> None:
    """Multiply volatility by four, decaying over a day, with no quiet hour at its height."""
    decay = np.exp(-np.arange(_EXPLOSION_HOURS) / 12)
    shaping.volatility[hour : hour + _EXPLOSION_HOURS] = 1 + 3 * decay
    shaping.least_shock[hour : hour + _EXPLOSION_HOURS // 2] = 1.2


def _break_ties(shaping: Shaping, hour: int) -> None:
    """Turn the second symbol against the market."""
    which = min(1, len(shaping.loading) - 1)
    shaping.loading[which, hour : hour + _BREAK_HOURS] = -0.9
