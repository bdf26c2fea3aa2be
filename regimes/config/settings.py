"""Every setting of the program, its default, its rule and its words, in one table."""

import re
from functools import cache
from typing import Annotated, Any, Final, Self

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    create_model,
    model_validator,
)

from regimes.alerting.settings import AdminSettings, AlertingSettings
from regimes.config.features import section_types
from regimes.delivery.settings import DeliverySettings
from regimes.features.base import FeatureSettings, Universe
from regimes.feeds.settings import VenuesSettings
from regimes.history.tape.settings import TapeSettings
from regimes.logs import LogSettings
from regimes.narrative.settings import NarrativeSettings
from regimes.storage.settings import StorageSettings
from regimes.timeframe import HOUR_MS, to_ms
from regimes.web.settings import WebSettings

_TOP: Final = re.compile(r"top:([1-9][0-9]{0,2})")
_PAIR: Final = re.compile(r"[^\s/:,]+/[^\s/:,]+")
TOP_MOST: Final = 500


class Origin(msgspec.Struct, frozen=True):
    """Where a value came from: a file or `environment`, and the name it has there."""

    place: str
    name: str

    def __str__(self) -> str:
        return f"{self.place}: {self.name}" if self.name else self.place


DEFAULT: Final = Origin("default", "")


def _symbol(value: str) -> str:
    top = _TOP.fullmatch(value)
    if top and int(top[1]) > TOP_MOST:
        raise ValueError(f"top:N needs N from 1 to {TOP_MOST}")
    if not top and not _PAIR.fullmatch(value):
        raise ValueError(
            'a symbol is written BASE/QUOTE, such as "BTC/USDT", or "top:N" for the N most traded'
        )
    return value


def _timeframe(value: str) -> str:
    if to_ms(value) % HOUR_MS:
        raise ValueError("longer bars are built from hourly ones, so a timeframe is a whole number of hours")
    return value


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    doubled = sorted({value for value in values if values.count(value) > 1})
    if doubled:
        raise ValueError(f"each may stand once; {', '.join(doubled)} stands more than once")
    return values


def _ascending(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(values, key=to_ms))


Symbol = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_symbol)]
Timeframe = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_timeframe)]


class PipelineSettings(BaseModel):
    """How often everything is computed, and how much may wait."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    interval_seconds: float = Field(
        5.0,
        ge=0.1,
        le=30,
        description="Seconds of market time between two computations of all readings. A cascade is also judged "
        "on each liquidation at once. Lower = fresher readings, more CPU.",
    )
    queue_capacity: int = Field(
        100_000,
        ge=1_000,
        le=10_000_000,
        description="Observations that may wait for the engine before the feeds stop reading their sockets. "
        "Twice as many are kept at most. Lower = less memory in a burst.",
    )
    status_seconds: float = Field(
        60.0,
        ge=1,
        le=3600,
        description="Seconds between two log lines that say how live each stream is.",
    )


class Settings(BaseModel):
    """All settings. Made by `load`, which also adds one section for each installed feature."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    symbols: Annotated[tuple[Symbol, ...], AfterValidator(_each_once)] = Field(
        ("BTC/USDT", "ETH/USDT", "SOL/USDT"),
        min_length=1,
        description='Symbols to watch, as BASE/QUOTE. "top:50" stands for the 50 most traded by quote volume on the '
        "spot venue. More symbols = more memory and a longer warm-up.",
    )
    timeframes: Annotated[tuple[Timeframe, ...], AfterValidator(_each_once), AfterValidator(_ascending)] = (
        Field(
            ("1h", "4h", "1d", "1w"),
            min_length=1,
            description="Bar lengths for the multi-timeframe regime, whole hours, days or weeks. All are built from "
            "closed hourly bars; longer ones need a longer history at the start.",
        )
    )
    venues: VenuesSettings = Field(default_factory=VenuesSettings)
    pipeline: PipelineSettings = Field(default_factory=PipelineSettings)
    alerting: AlertingSettings = Field(default_factory=AlertingSettings)
    delivery: DeliverySettings = Field(default_factory=DeliverySettings)
    storage: StorageSettings = Field(default_factory=StorageSettings)
    tape: TapeSettings = Field(default_factory=TapeSettings)
    admin: AdminSettings = Field(default_factory=AdminSettings)
    web: WebSettings = Field(default_factory=WebSettings)
    narrative: NarrativeSettings = Field(default_factory=NarrativeSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    _origins: dict[str, Origin] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _a_venue_at_all(self) -> Self:
        if not (self.venues.spot or self.venues.derivatives):
            raise ValueError("venues.spot and venues.derivatives are both empty; name at least one venue")
        return self

    def section(self, name: str) -> FeatureSettings:
        """Return the settings of the feature that owns the section `name`."""
        section: FeatureSettings = getattr(self, name)
        return section

    def sections(self) -> dict[str, FeatureSettings]:
        """Return the settings of every installed feature by its section."""
        return {name: self.section(name) for name in section_types()}

    def origin(self, path: str) -> Origin:
        """Return where the value of a dotted key such as `funding.anomaly_z_threshold` came from."""
        return self._origins.get(path, DEFAULT)

    def universe(self, symbols: tuple[str, ...] | None = None) -> Universe:
        """Return what the features watch; `symbols` are the configured ones with `top:N` resolved."""
        return Universe(symbols or self.symbols, self.timeframes)

    def with_sections_of(self, other: Self, *sections: str) -> Self:
        """Return a copy that has some sections, and where their values came from, of other settings."""
        copy = self.model_copy(update={name: getattr(other, name) for name in sections})
        theirs = tuple(f"{name}." for name in sections)
        kept = {path: origin for path, origin in self._origins.items() if not path.startswith(theirs)}
        taken = {
            path: origin for path, origin in other._origins.items() if path.startswith(theirs)
        }  # our own class
        copy._origins = kept | taken  # noqa: SLF001  # our own class
        return copy

    def replaced(self, origin: Origin, **sections: Any) -> Self:
        """Return a copy in which some sections or values are set by the program, and say who set them.

        sections: a new value, or for a section a dict of the keys to change. Validated like everything else.
        """
        values = {name: getattr(self, name) for name in type(self).model_fields}
        origins = dict(self._origins)
        for name, change in sections.items():
            if isinstance(change, dict):
                values[name] = type(values[name]).model_validate({**dict(values[name]), **change})
                origins.update({f"{name}.{key}": origin for key in change})
            else:
                values[name] = change
                origins[name] = origin
        copy = type(self).model_validate(values)
        copy._origins.update(origins)  # noqa: SLF001  # our own class
        return copy


@cache
def settings_type() -> type[Settings]:
    """Return `Settings` with a section for each installed feature, in the order users read them."""
    sections: dict[str, Any] = {
        name: (kind, Field(default_factory=kind)) for name, kind in section_types().items()
    }
    return create_model("Settings", __base__=Settings, __module__=__name__, **sections)
