"""What followed earlier events of a kind: the table that `regimes score` makes, and what an event says of it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from regimes.events import EventType, TrackEffect, TrackRecord, iso_utc

FEW: Final = 20
"""Fewer events than this show nothing that can be relied on."""
LEAST_FREE: Final = 0.5
"""Events so frequent that less time is free of them are compared with what are themselves odd times."""
Q_MOST: Final = 0.05
"""An effect is called one when at most this share of those called so is chance."""
HORIZONS_H: Final = (1, 4, 24, 72)
VOLATILITY: Final = "volatility"
RETURN: Final = "return"
FUNDING: Final = "funding"
_TOLD_H: Final = 24
POOLED: Final = ""
_VARIANT_KEYS: Final = {
    EventType.LIQUIDATION_CASCADE: "dominant_side",
    EventType.FUNDING_ANOMALY: "direction",
    EventType.FUNDING_REVERSAL: "direction",
    EventType.VOLATILITY_REGIME: "vol_regime",
    EventType.REGIME_SHIFT: "primary_regime",
}


class Effect(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One outcome, so many hours after the events of a group.

    scale: `ratio` (1 = as usual) or `difference` (0 = as usual). n: events measured; weeks: how many
    they lie in, crowded ones counted for less; truncated: left out because their future is not known to its end; unmatched: because no time is like theirs;
    missing: because the outcome was not recorded. free: share of all hours in which no such outcome is being measured. median: of the outcome after the events; usual: mean at matched times.
    effect with ci: how the outcome differs from usual. p: that of chance; q: after correction for the whole table.
    The last five are None where there are too few weeks.
    """

    outcome: str
    horizon_hours: int
    scale: str
    n: int
    weeks: int
    truncated: int
    unmatched: int
    missing: int
    free: float
    median: float | None = None
    usual: float | None = None
    effect: float | None = None
    ci: tuple[float, float] | None = None
    p: float | None = None
    q: float | None = None

    @property
    def is_evident(self) -> bool:
        """Whether there is enough of it to speak of and to compare with, and it is unlikely to be chance."""
        enough = self.n >= FEW and self.free >= LEAST_FREE
        return enough and self.q is not None and self.q <= Q_MOST


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one type and variant; symbol is empty where those of all symbols are put together."""

    event_type: str
    variant: str
    symbol: str
    events: int
    effects: Sequence[Effect]

    def effect(self, outcome: str, horizon_hours: int) -> Effect | None:
        """One of its effects."""
        found = (e for e in self.effects if (e.outcome, e.horizon_hours) == (outcome, horizon_hours))
        return next(found, None)


class ScoreTable(msgspec.Struct, frozen=True, kw_only=True):
    """What followed the events of a span. source, settings: what they came from; method: of the measurement."""

    source: str
    symbols: Sequence[str]
    from_ms: int
    to_ms: int
    settings: str
    events: int
    groups: Sequence[Group]
    method: Mapping[str, Any] = {}
    shipped: bool = False
    """Whether it came with the program and not from the user's own events."""

    @property
    def is_measured(self) -> bool:
        """Whether anything is known of what followed; not where no prices are."""
        return any(effect.n for group in self.groups for effect in group.effects)


def variant_of(event_type: str, data: Mapping[str, Any]) -> str:
    """What tells events of a type apart whose outcomes may differ: who pays, which side, which regime."""
    if event_type == EventType.CORRELATION_BREAK:
        changes = [data.get(key) for key in ("change", "change_24h")]
        known = [change for change in changes if isinstance(change, int | float)]
        return ("rose" if max(known, key=abs) > 0 else "fell") if known else ""
    key = next((key for kind, key in _VARIANT_KEYS.items() if kind == event_type), "")
    value = data.get(key)
    return value if isinstance(value, str) else ""


class TrackRecords:
    """Looks up what is known of events like a given one."""

    def __init__(self, table: ScoreTable) -> None:
        self.table = table
        self._groups = {(group.event_type, group.variant, group.symbol): group for group in table.groups}

    def of(self, event_type: str, symbol: str, data: Mapping[str, Any]) -> TrackRecord | None:
        """The record of events like this one: of its symbol where there are enough, else of all symbols.

        None for a kind of which nothing is known.
        """
        variant = variant_of(event_type, data)
        own = self._groups.get((event_type, variant, symbol))
        pooled = self._groups.get((event_type, variant, POOLED))
        group = own if own is not None and _n(own) >= FEW else pooled
        return None if group is None else self._record(group)

    def _record(self, group: Group) -> TrackRecord:
        since = iso_utc(self.table.from_ms)
        return TrackRecord(
            words=words(group, since[:4]),
            like_this=" ".join(filter(None, [group.event_type, group.variant, group.symbol or "any symbol"])),
            n=_n(group),
            few=is_few(group),
            since=since,
            until=iso_utc(self.table.to_ms),
            shipped=self.table.shipped,
            effects={
                f"{effect.outcome}_{effect.horizon_hours}h": TrackEffect(
                    scale=effect.scale,
                    n=effect.n,
                    effect=effect.effect,
                    ci=effect.ci,
                    evident=effect.is_evident,
                )
                for effect in group.effects
                if effect.effect is not None and _is_told(effect)
            },
        )


def _is_told(effect: Effect) -> bool:
    """An event carries what people ask first; the whole table is for `/api/score`."""
    return effect.horizon_hours == _TOLD_H or effect.outcome == VOLATILITY


def is_few(group: Group) -> bool:
    """Whether its events, or the weeks they lie in, are too few to say anything of what follows."""
    told = group.effect(VOLATILITY, _TOLD_H)
    return told is None or told.n < FEW or told.effect is None


def words(group: Group, since: str) -> str:
    """A track record in one line, such as `after 41 like this since 2023: 24 h volatility 1.7x usual (CI 1.4 to 2.1)`."""
    n = _n(group)
    volatility, change = group.effect(VOLATILITY, _TOLD_H), group.effect(RETURN, _TOLD_H)
    if volatility is None or volatility.effect is None or volatility.ci is None or n < FEW:
        weeks = 0 if volatility is None else volatility.weeks
        return f"{n} like this in {weeks} weeks since {since}: too few to say what follows"
    low, high = volatility.ci
    doubt = "" if volatility.is_evident else f", {_doubt(volatility)}"
    said = f"{volatility.effect:.2f}x usual (CI {low:.2f} to {high:.2f}{doubt})"
    return f"after {n} like this since {since}: {_TOLD_H} h volatility {said}; direction: {_direction(change)}{_funding(group)}"


def _doubt(effect: Effect) -> str:
    return "too frequent to compare" if effect.free < LEAST_FREE else "within chance"


def _funding(group: Group) -> str:
    """How funding went, where that is known: what a funding anomaly is about."""
    effect = group.effect(FUNDING, _TOLD_H)
    if effect is None or effect.effect is None or effect.ci is None or not effect.is_evident:
        return ""
    low, high = effect.ci
    return f"; funding {effect.effect:+.3%} against usual (CI {low:+.3%} to {high:+.3%})"


def _direction(change: Effect | None) -> str:
    if change is None or change.effect is None or change.ci is None or not change.is_evident:
        return "no evidence"
    low, high = change.ci
    return f"{change.effect:+.2%} against usual in {_TOLD_H} h (CI {low:+.2%} to {high:+.2%})"


def _n(group: Group) -> int:
    effect = group.effect(VOLATILITY, _TOLD_H)
    return 0 if effect is None else effect.n
