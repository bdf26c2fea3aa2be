"""Which settings to try: a grid of values, and the settings each point of it stands for."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from regimes.config import Settings
from regimes.config.features import section_types
from regimes.config.settings import Origin
from regimes.errors import ConfigError

DEFAULT: Final[Mapping[str, Sequence[Any]]] = {
    "liquidation.cascade_threshold_usd": (100_000.0, 500_000.0, 1_000_000.0),
    "funding.anomaly_z_threshold": (1.5, 2.0, 3.0),
    "volatility.high_vol_threshold": (0.03, 0.05, 0.07),
    "alerting.cooldown_minutes": (360.0, 1440.0, 2880.0),
}
"""What is tried when nothing is asked for: the thresholds that decide most about how often it rings."""
MOST: Final = 10_000
Values = Mapping[str, Any]


class Variant(msgspec.Struct, frozen=True):
    """One point of the grid. values: by dotted key, only what the grid sets; settings: all of them."""

    values: Values
    settings: Settings


def parse(texts: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Read `funding.anomaly_z_threshold=1.5,2,3`, one text a key. Raises ConfigError for what cannot be tried."""
    grid: dict[str, tuple[Any, ...]] = {}
    for text in texts:
        path, _, values = text.partition("=")
        parts = tuple(part.strip() for part in values.split(",") if part.strip())
        if not parts:
            raise ConfigError(
                f"--set {text}: write key=value,value, such as funding.anomaly_z_threshold=1.5,2,3"
            )
        grid[path.strip()] = tuple(dict.fromkeys(_read(part) for part in parts))
    return grid


def variants(settings: Settings, grid: Mapping[str, Sequence[Any]]) -> list[Variant]:
    """Return every combination of the grid's values over `settings`, in the order of the grid.

    Raises ConfigError for a key that is no setting of a feature or the policy, a value its rule refuses, and a grid too large.
    """
    for path in grid:
        _check(settings, path)
    count = 1
    for values in grid.values():
        count *= len(values)
    if count > MOST:
        raise ConfigError(f"the grid has {count:,} points; at most {MOST:,} can be tried")
    return [variant(settings, values) for values in _points(grid)]


def variant(settings: Settings, values: Values) -> Variant:
    """Return one point over `settings`. Raises ConfigError for a value its rule refuses."""
    sections: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        section, _, key = path.partition(".")
        sections.setdefault(section, {})[key] = value
    try:
        changed = settings.replaced(Origin("tune", ""), **sections)
    except ValidationError as error:
        words = ", ".join(f"{path} = {value}" for path, value in values.items())
        raise ConfigError(f"{words}: {error.errors(include_url=False)[0]['msg']}") from error
    taken = {
        path: getattr(getattr(changed, path.partition(".")[0]), path.partition(".")[2]) for path in values
    }
    return Variant(taken, changed)


def one_by_one(settings: Settings, grid: Mapping[str, Sequence[Any]]) -> list[Variant]:
    """Return the settings as they are, and with each value of the grid alone."""
    return [Variant({}, settings), *(variant(settings, {p: v}) for p, values in grid.items() for v in values)]


def _points(grid: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    return (dict(zip(grid, values, strict=True)) for values in product(*grid.values()))


def _check(settings: Settings, path: str) -> None:
    section, _, key = path.partition(".")
    known = [*section_types(), "alerting"]
    if section not in known or key not in type(getattr(settings, section)).model_fields:
        raise ConfigError(
            f"{path}: there is no such setting to try; of [{'], ['.join(known)}] every key can be, as section.key"
        )


def _read(text: str) -> Any:
    """A number, true or false where it is one, else the word."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
