"""One check: what is run, what must come out, what did."""

from collections.abc import Callable
from math import isclose
from typing import TypeAlias

import msgspec

Value: TypeAlias = str | float | bool | None


class Check(msgspec.Struct, frozen=True):
    """A value to compute through the installed code, and the value it must have."""

    component: str
    name: str
    compute: Callable[[], Value]
    expected: Value


class Result(msgspec.Struct, frozen=True):
    """How a check came out. found: the value, or the error in words."""

    component: str
    name: str
    passed: bool
    expected: str
    found: str


def run(check: Check) -> Result:
    """Run one check; an error fails it and does not stop the others."""
    try:
        found = check.compute()
    except Exception as error:  # noqa: BLE001  # any defect of the installation is a finding
        return Result(
            check.component, check.name, False, str(check.expected), f"{type(error).__name__}: {error}"
        )
    return Result(
        check.component, check.name, _equal(found, check.expected), _words(check.expected), _words(found)
    )


def _equal(found: Value, expected: Value) -> bool:
    if isinstance(found, float) and isinstance(expected, float):
        return isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)
    return found == expected and type(found) is type(expected)


def _words(value: Value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
