"""Strict readers of single fields: a decimal string, a time, a name. What is not right is a DataError that shows it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from regimes.errors import DataError

Frame: TypeAlias = Mapping[str, Any]

HUGE: Final = 1e15
POSITIVE: Final = 5e-324
NOT_NEGATIVE: Final = 0.0
_FRACTION: Final = -1.0
_RULES: Final = {
    POSITIVE: "> 0 and < 1e15",
    NOT_NEGATIVE: ">= 0 and < 1e15",
    _FRACTION: "between -1 and 1",
}
# 2010-01-01 and 2100-01-01: no exchange has data outside.
FIRST_MS: Final = 1_262_304_000_000
LAST_MS: Final = 4_102_444_800_000
_MAX_ID: Final = 64


def shown(value: object) -> str:
    """How a value looks in an error: its beginning."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def decimal(record: Frame, field: str, where: str, least: float) -> float:
    """Read a decimal string of at least `least`: POSITIVE, NOT_NEGATIVE, or -1 for a fraction."""
    text = record.get(field)
    if type(text) is str and text.isascii() and "_" not in text:
        try:
            value = float(text)
        except ValueError:
            pass
        else:
            if least <= value < HUGE:
                return value
    raise DataError(f"{where}.{field} must be a decimal string {_RULES[least]} (got {shown(text)})")


def time_ms(record: Frame, field: str, where: str) -> int:
    """Read an integer time, ms UTC."""
    value = record.get(field)
    if type(value) is int and FIRST_MS < value < LAST_MS:
        return value
    raise DataError(f"{where}.{field} must be a time in ms between 2010 and 2100 (got {shown(value)})")


def name(record: Frame, field: str, where: str) -> str:
    """Read a short printable text, ASCII or not."""
    value = record.get(field)
    if type(value) is str and 0 < len(value) <= _MAX_ID and value.isprintable():
        return value
    raise DataError(f"{where}.{field} must be a name of 1 to {_MAX_ID} characters (got {shown(value)})")


def part(record: Frame, field: str, where: str) -> Frame:
    """Read an object inside an object."""
    value = record.get(field)
    if isinstance(value, dict):
        return value
    raise DataError(f"{where}.{field} must be an object (got {shown(value)})")


def rows(record: Frame, field: str, where: str) -> Sequence[Any]:
    """Read a list inside an object."""
    value = record.get(field)
    if isinstance(value, list):
        return value
    raise DataError(f"{where}.{field} must be a list (got {shown(value)})")


def record(row: object, where: str) -> Frame:
    """Take a value for an object."""
    if isinstance(row, dict):
        return row
    raise DataError(f"{where} must be an object (got {shown(row)})")


def rate(record: Frame, field: str, where: str) -> float:
    """Read a decimal string that is a fraction, of either sign."""
    value = decimal(record, field, where, _FRACTION)
    if value > 1.0:
        raise DataError(
            f"{where}.{field} must be a decimal string {_RULES[_FRACTION]} (got {shown(record[field])})"
        )
    return value
