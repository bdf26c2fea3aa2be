"""The combined package: everything that is known of one symbol, and of the market, as JSON.

A package is `{timestamp, symbol, cascades, funding, volatility, regimes, correlations, narrative, market}`;
features from elsewhere stand between correlations and narrative under their own key. Each signal is flat:
`status, ready, stale, as_of, n, needed, coverage, detail, alert_level` and then the feature's own fields.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

import msgspec

from regimes.events import iso_utc
from regimes.features.base import Reading
from regimes.package.market import market_state
from regimes.package.sentence import sentence

__all__ = ["SIGNALS", "combine", "encode", "flatten", "market_state"]

SIGNALS: Final = ("cascades", "funding", "volatility", "regimes", "correlations")
"""The signals every package has, in this order."""
_ABSENT: Final = {
    "status": "unavailable",
    "ready": False,
    "stale": False,
    "as_of": None,
    "n": 0,
    "needed": 0,
    "coverage": 0.0,
    "detail": "this signal is switched off",
    "alert_level": None,
}


def combine(
    symbol: str, now_ms: int, readings: Mapping[str, Reading], market: Mapping[str, Any]
) -> dict[str, Any]:
    """Put one symbol's package together. readings: by package key; market: from `market_state`."""
    keys = [*SIGNALS, *(key for key in readings if key not in SIGNALS)]
    signals = {key: flatten(readings[key]) if key in readings else dict(_ABSENT) for key in keys}
    package = {"timestamp": iso_utc(now_ms), "symbol": symbol, **signals}
    return {**package, "narrative": sentence(package, market), "market": dict(market)}


def flatten(reading: Reading) -> dict[str, Any]:
    """A reading as JSON values: what every signal has first, then its own fields."""
    fields: dict[str, Any] = msgspec.to_builtins(reading)
    fields.pop("feature", None)
    fields.pop("symbol", None)
    fields.pop("as_of_ms", None)
    level = reading.alert_level
    common = {
        "status": fields.pop("status"),
        "ready": reading.ready,
        "stale": reading.stale,
        "as_of": None if reading.as_of_ms is None else iso_utc(reading.as_of_ms),
        **{name: fields.pop(name) for name in ("n", "needed", "coverage", "detail")},
        "alert_level": None if level is None else level.name,
    }
    fields.pop("alert_level")
    return common | fields


def encode(package: Mapping[str, Any]) -> bytes:
    """A package as JSON bytes, the same for the same content.

    Raises ValueError, naming the place, if a number is NaN or infinite: a feature must say None instead.
    """
    _assert_finite(package, "package")
    return msgspec.json.encode(package)


def _assert_finite(value: Any, place: str) -> None:
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError(f"{place} is {value}; a number that cannot be computed must be null")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _assert_finite(inner, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for place_in, inner in enumerate(value):
            _assert_finite(inner, f"{place}[{place_in}]")
