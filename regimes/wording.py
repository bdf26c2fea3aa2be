"""Numbers as a person reads them, the same in every title, description and `why`."""

from math import floor, log10
from typing import Final

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 86_400_000


def usd(amount: float) -> str:
    """Money in two or three digits.

    >>> usd(5_000_000), usd(480_250), usd(1_340), usd(999_960), usd(-52.4)
    ('5.0 M USD', '480 k USD', '1.3 k USD', '1.0 M USD', '-52 USD')
    """
    size = abs(amount)
    sign = "-" if amount < 0 and round(size) else ""
    # A unit is left where one decimal more would round up to 1,000 of it.
    for unit, name in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if size >= unit * 0.9995:
            mantissa = size / unit
            digits = 1 if mantissa < 99.95 else 0
            return f"{sign}{mantissa:,.{digits}f}{name} USD"
    return f"{sign}{size:.0f} USD"


def usd_in_full(amount: float) -> str:
    """Money to the dollar.

    >>> usd_in_full(1_234_567.8)
    '1,234,568 USD'
    """
    return f"{_plain(amount, 0)} USD"


def usd_per_hour(rate: float) -> str:
    """A velocity to the dollar.

    >>> usd_per_hour(500_000)
    '500,000 USD/h'
    """
    return f"{_plain(rate, 0)} USD/h"


def percent(fraction: float, digits: int = 2) -> str:
    """A fraction as per cent.

    >>> percent(0.0123), percent(0.5, 0), percent(-0.000012, 4)
    ('1.23 %', '50 %', '-0.0012 %')
    """
    return f"{_plain(fraction * 100, digits)} %"


def signed_percent(fraction: float, digits: int = 2) -> str:
    """A fraction as per cent, with its sign.

    >>> signed_percent(0.0123), signed_percent(-0.5, 0), signed_percent(0.0)
    ('+1.23 %', '-50 %', '0.00 %')
    """
    return f"{signed(fraction * 100, digits)} %"


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, none for zero.

    >>> signed(1.5), signed(-2.345), signed(0.001)
    ('+1.50', '-2.35', '0.00')
    """
    text = _plain(value, digits)
    return text if text.startswith("-") or not float(text.replace(",", "")) else f"+{text}"


def ratio(value: float, digits: int = 2) -> str:
    """How many times as much.

    >>> ratio(1.17)
    '1.17x'
    """
    return f"{_plain(value, digits)}x"


def price(value: float) -> str:
    """A price in at least five significant digits.

    >>> price(102_345.67), price(45_000), price(1.23456), price(0.0000123456)
    ('102,346', '45,000', '1.2346', '0.000012346')
    """
    if value <= 0:
        return _plain(value, 2)
    return f"{value:,.{max(0, 4 - floor(log10(value)))}f}"


def count(number: int, noun: str) -> str:
    """So many things.

    >>> count(1, "liquidation"), count(1_344, "liquidation")
    ('1 liquidation', '1,344 liquidations')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(span_ms: int) -> str:
    """A span of time in its natural unit.

    >>> duration(45_000), duration(25 * 60_000), duration(36_000_000), duration(90 * 60_000), duration(3 * 86_400_000)
    ('45 s', '25 min', '10 h', '1.5 h', '3 d')
    """
    if span_ms < _MINUTE_MS:
        return f"{span_ms // 1000} s"
    if span_ms < _HOUR_MS:
        return f"{span_ms // _MINUTE_MS} min"
    unit, name = (_HOUR_MS, "h") if span_ms < 2 * _DAY_MS else (_DAY_MS, "d")
    text = f"{span_ms / unit:.1f}".removesuffix(".0")
    return f"{text} {name}"


def _plain(value: float, digits: int) -> str:
    """Fixed decimals, thousands apart, and never a negative zero."""
    return f"{round(value, digits) + 0.0:,.{digits}f}"
