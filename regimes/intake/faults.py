"""Why an observation is refused, in a word for counting and in words for reading."""

from enum import StrEnum
from math import isfinite
from typing import Any, Final, TypeAlias

import msgspec

from regimes.events import iso_utc
from regimes.observations import Candle, Liquidation

EARLIEST_MS: Final = 1_262_304_000_000
"""2010-01-01: nothing that is traded here is older."""
LATEST_MS: Final = 4_102_444_800_000
"""2100-01-01."""
MAX_PRICE: Final = 1e12
MAX_QUANTITY: Final = 1e18
MAX_USD: Final = 1e13
MAX_RATE: Final = 1.0
MAX_INTERVAL_HOURS: Final = 168.0


class Reason(StrEnum):
    """Why an observation was refused."""

    MALFORMED = "malformed"
    NOT_FINITE = "not_finite"
    NOT_POSITIVE = "not_positive"
    TOO_LARGE = "too_large"
    INCONSISTENT = "inconsistent"
    MISALIGNED = "misaligned"
    TOO_OLD = "too_old"
    FUTURE = "future"
    OUT_OF_ORDER = "out_of_order"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    UNKNOWN_SYMBOL = "unknown_symbol"


class Rejection(msgspec.Struct, frozen=True):
    """One refused observation in words. place: what and where; value: what it said; rule: what it broke."""

    ts_ms: int
    kind: str
    reason: Reason
    place: str
    value: str
    rule: str


Fault: TypeAlias = tuple[Reason, str, str]
"""Reason, value, rule."""


def is_named(name: object) -> bool:
    """Whether a venue or symbol is a non-empty string of a sensible length."""
    return type(name) is str and 0 < len(name) <= 64


def moment(ts_ms: int) -> str:
    """A time in words, for any integer."""
    return iso_utc(ts_ms) if EARLIEST_MS <= ts_ms <= LATEST_MS else f"{ts_ms} ms"


def time_fault(ts_ms: object, latest_ms: int) -> Fault | None:
    """What is wrong with a time that may not be later than `latest_ms`."""
    if type(ts_ms) is not int:
        return Reason.MALFORMED, repr(ts_ms), "a time is a whole number of ms UTC"
    if ts_ms < EARLIEST_MS:
        return Reason.TOO_OLD, moment(ts_ms), f"not before {moment(EARLIEST_MS)}"
    if ts_ms > latest_ms:
        return Reason.FUTURE, moment(ts_ms), f"not after {moment(latest_ms)}, as the clock stands"
    return None


def number_fault(name: str, value: float, largest: float) -> Fault:
    """What is wrong with a number that must be positive, finite and at most `largest`."""
    words = f"{name} {value!r}"
    if not isfinite(value):
        return Reason.NOT_FINITE, words, f"{name} is a finite number"
    if value > largest:
        return Reason.TOO_LARGE, words, f"{name} <= {largest:g}"
    return Reason.NOT_POSITIVE, words, f"{name} > 0"


def rate_fault(name: str, value: float) -> Fault:
    """What is wrong with a funding rate."""
    words = f"{name} {value!r}"
    if not isfinite(value):
        return Reason.NOT_FINITE, words, f"{name} is a finite number"
    return Reason.TOO_LARGE, words, f"|{name}| <= {MAX_RATE:g} (a fraction, not per cent)"


def liquidation_fault(order: Liquidation) -> Fault | None:
    """Which of a liquidation's numbers is wrong."""
    for name, largest in (("fill_price", MAX_PRICE), ("base_qty", MAX_QUANTITY), ("quote_usd", MAX_USD)):
        value = getattr(order, name)
        if not 0.0 < value <= largest:
            return number_fault(name, value, largest)
    return None


def candle_fault(bar: Candle) -> Fault:
    """Which of a bar's numbers is wrong."""
    for name in ("open", "high", "low", "close"):
        value = getattr(bar, name)
        if not 0.0 < value <= MAX_PRICE:
            return number_fault(name, value, MAX_PRICE)
    for name in ("base_volume", "quote_volume", "taker_buy_volume"):
        value = getattr(bar, name)
        if value is not None and not 0.0 <= value <= MAX_QUANTITY:
            reason, words, rule = number_fault(name, value, MAX_QUANTITY)
            return reason, words, rule.replace("> 0", ">= 0")
    values = f"open {bar.open!r} high {bar.high!r} low {bar.low!r} close {bar.close!r}"
    volumes = f"volume {bar.base_volume!r} taker buys {bar.taker_buy_volume!r}"
    return Reason.INCONSISTENT, f"{values} {volumes}", "low <= open, close <= high; taker buys <= volume"


def place_of(kind: str, observation: Any) -> str:
    """Kind, venue, symbol and timeframe, as far as it has them."""
    parts = [kind, *(getattr(observation, name, None) for name in ("venue", "symbol", "timeframe"))]
    return " ".join(part[:64] for part in parts if isinstance(part, str))
