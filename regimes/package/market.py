"""One word for the whole market: NORMAL, ACTIVE or CRISIS."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from regimes.events import Severity
from regimes.features.base import Reading
from regimes.observations import MARKET

TOP_CASCADE: Final = 5
PAIRED: Final = frozenset({"correlations"})
"""Signals about pairs, which show at both symbols of a pair."""
WILD: Final = frozenset({"EXPLOSIVE", "EXTREME"})


class MarketState(StrEnum):
    """How much is going on."""

    NORMAL = "NORMAL"
    ACTIVE = "ACTIVE"
    CRISIS = "CRISIS"


def market_state(readings: Mapping[tuple[str, str], Reading]) -> dict[str, Any]:
    """Sum up all readings, by (package key, symbol).

    CRISIS: two or more CRITICAL, or a cascade of severity 5 anywhere while volatility is EXPLOSIVE or worse
    anywhere. ACTIVE: anything at WARNING or above. NORMAL: nothing above INFO. What counts is each reading's
    `alert_level`. `ALL` counts for a signal only where none of its symbols is at that level, as it sums them up;
    correlations count once, as a broken pair shows at both its symbols.
    Answers state, why, critical and warning (lists of "key symbol").
    """
    critical = _at_level(readings, Severity.CRITICAL)
    warning = _at_level(readings, Severity.WARNING)
    cascade = _first(
        p for p, r in readings.items() if p[0] == "cascades" and _field(r, "severity") == TOP_CASCADE
    )
    wild = _first(p for p, r in readings.items() if p[0] == "volatility" and _field(r, "vol_regime") in WILD)
    if len(critical) >= 2:
        state, why = MarketState.CRISIS, f"{len(critical)} critical: {', '.join(critical)}"
    elif cascade and wild:
        state, why = MarketState.CRISIS, f"{cascade} at severity 5 and {wild} explosive or worse"
    elif critical or warning:
        state, why = MarketState.ACTIVE, f"alerting: {', '.join([*critical, *warning])}"
    else:
        state, why = MarketState.NORMAL, "nothing above INFO"
    return {"state": state.value, "why": why, "critical": critical, "warning": warning}


def _at_level(readings: Mapping[tuple[str, str], Reading], level: Severity) -> list[str]:
    """The places at one level, without saying the same thing twice."""
    found: dict[str, list[str]] = {}
    for (key, symbol), reading in readings.items():
        if reading.alert_level is level:
            found.setdefault(key, []).append(symbol)
    return [f"{key} {symbol}" for key, symbols in found.items() for symbol in _distinct(key, symbols)]


def _distinct(key: str, symbols: list[str]) -> list[str]:
    if key in PAIRED:
        return [MARKET] if MARKET in symbols else symbols[:1]
    return [symbol for symbol in symbols if symbol != MARKET] or symbols


def _field(reading: Reading, name: str) -> Any:
    return getattr(reading, name, None)


def _first(places: Iterable[tuple[str, str]]) -> str | None:
    return next((f"{key} {symbol}" for key, symbol in places), None)
