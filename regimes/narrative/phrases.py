"""Sentences about each type of event, from its numbers alone: no title, no name but through `name`."""

import re
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any, Final, TypeAlias, TypeGuard

from regimes.events import EventType
from regimes.timeframe import HOUR_MS
from regimes.wording import duration, percent, price, ratio, signed_percent, usd, usd_per_hour

Data: TypeAlias = Mapping[str, Any]
Name: TypeAlias = Callable[[str], str]
_LABEL: Final = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
_LEVELS_TOLD: Final = 3
_FOLLOWERS_TOLD: Final = 5


def opened(kind: str, symbol: str, data: Data, name: Name) -> list[str]:
    """What is going on, the first sentence the most important; numbers that are not known are left out."""
    return _kept(_OPENED[EventType(kind)](name(symbol), data, name))


def ended(kind: str, symbol: str, data: Data, name: Name) -> list[str]:
    """That it is over, how long it lasted, and how far it went."""
    hours = _number(data, "duration_hours")
    lasted = f" after {duration(round(hours * HOUR_MS))}" if hours is not None else ""
    return _kept([f"{name(symbol)}: the {_NOUNS[EventType(kind)]} is over{lasted}", _peak(data)])


def headline(kind: str, symbol: str, data: Data, name: Name) -> str:
    """One line without a full stop."""
    return opened(kind, symbol, data, name)[0].removesuffix(".")


def _cascade(who: str, data: Data, _name: Name) -> list[str | None]:
    severity, total = _number(data, "severity"), _number(data, "total_liquidation_usd")
    side = {"long": "mostly longs", "short": "mostly shorts", "balanced": "longs and shorts alike"}
    speed = _number(data, "velocity_usd_per_hour")
    seen = [
        f"{usd(total)} of liquidations seen in 24 h" if total is not None else None,
        side.get(str(data.get("dominant_side"))),
        f"up to {usd_per_hour(speed)}" if speed is not None else None,
    ]
    level = f" of severity {severity:.0f} of 5" if severity is not None else ""
    return [
        f"{who}: a liquidation cascade{level} is under way, {', '.join(filter(None, seen))}",
        _levels("Support lies near", data.get("support_levels")),
        _levels("Resistance lies near", data.get("resistance_levels")),
        "The exchange tells at most one liquidation a symbol and second, so the sums are lower bounds"
        if data.get("is_lower_bound") is True
        else None,
    ]


def _funding(who: str, data: Data, _name: Name) -> list[str | None]:
    rate, z = _number(data, "funding_rate"), _number(data, "z_score")
    payer = {"longs_pay": "longs pay shorts", "shorts_pay": "shorts pay longs"}
    what = (
        f"{who}: funding is {signed_percent(rate, 4)}" if rate is not None else f"{who}: funding is unusual"
    )
    if z is not None:
        what += f", {abs(z):.1f} standard deviations {'above' if z > 0 else 'below'} its 30-day mean"
    paid = payer.get(str(data.get("direction")))
    back = [
        f"{percent(p, 0)} within {hours}"
        for key, hours in (("p_revert_24h", "24 h"), ("p_revert_72h", "72 h"))
        if (p := _number(data, key)) is not None
    ]
    chance = f"Chance that funding is back near its mean: {', '.join(back)}" if back else None
    return [f"{what}; {paid}" if paid else what, chance, "This is about funding, not about price"]


def _reversal(who: str, data: Data, _name: Name) -> list[str | None]:
    rate = _number(data, "funding_rate")
    now = f", now {signed_percent(rate, 4)}" if rate is not None else ""
    return [
        f"{who}: funding has changed its sign after an extreme{now}",
        "This is about funding, not about price",
    ]


def _volatility(who: str, data: Data, _name: Name) -> list[str | None]:
    now, before = _label(data, "vol_regime"), _label(data, "previous_regime")
    daily, times = _number(data, "volatility_24h"), _number(data, "ratio")
    came = f" from {before}" if before and before != now else ""
    facts = [
        f"{percent(daily)} over the last 24 h" if daily is not None else None,
        f"{ratio(times)} its 30-day usual" if times is not None else None,
    ]
    said = ", ".join(filter(None, facts))
    return [f"{who}: volatility has gone{came} to {now or 'another regime'}" + (f", {said}" if said else "")]


def _shift(who: str, data: Data, _name: Name) -> list[str | None]:
    now, before = _label(data, "primary_regime"), _label(data, "previous_regime")
    agree, known = _number(data, "agreement_count"), _number(data, "timeframes_ok")
    came = f" from {before}" if before and before != now else ""
    share = (
        f"; {agree:.0f} of {known:.0f} timeframes agree" if agree is not None and known is not None else ""
    )
    return [f"{who}: the primary regime has gone{came} to {now or 'another regime'}{share}"]


def _break(who: str, data: Data, _name: Name) -> list[str | None]:
    windows = [
        (abs(change), tail, words)
        for tail, words in (("", "7 d"), ("_24h", "24 h"))
        if (change := _number(data, "change" + tail)) is not None
    ]
    if not windows:
        return [f"{who}: their correlation has left its usual range"]
    _, tail, words = max(windows)
    now, normal = _number(data, "current" + tail), _number(data, "normal" + tail)
    if now is None or normal is None:
        return [f"{who}: their correlation has left its usual range over {words}"]
    return [f"{who}: correlation is {now:.2f} over {words}, normally {normal:.2f}"]


def _leader(who: str, data: Data, name: Name) -> list[str | None]:
    leader, followers = data.get("leading_asset"), data.get("lagging_assets")
    if not isinstance(leader, str) or not isinstance(followers, list | tuple) or not followers:
        return [f"{who}: no symbol leads the others any more"]
    told = ", ".join(name(str(follower)) for follower in followers[:_FOLLOWERS_TOLD])
    return [f"{name(leader)} leads: hourly returns of {told} have followed it"]


def _peak(data: Data) -> str | None:
    severity, daily = _number(data, "peak_severity"), _number(data, "peak_volatility_24h")
    total, change = _number(data, "episode_usd"), _number(data, "peak_change")
    if severity is not None:
        money = f" with {usd(total)} liquidated" if total is not None else ""
        return f"It reached severity {severity:.0f} of 5{money}"
    if daily is not None:
        return f"It reached {percent(daily)} a day"
    return f"Its correlation had moved by {change:+.2f}" if change is not None else None


def _levels(words: str, prices: Any) -> str | None:
    known = [p for p in prices if _is_number(p)] if isinstance(prices, list | tuple) else []
    return f"{words} {', '.join(price(p) for p in known[:_LEVELS_TOLD])}" if known else None


def _number(data: Data, key: str) -> float | None:
    value = data.get(key)
    return value if _is_number(value) else None


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _label(data: Data, key: str) -> str | None:
    """A state by its name; anything that is no such name is not repeated."""
    value = data.get(key)
    return value if isinstance(value, str) and _LABEL.fullmatch(value) else None


def _kept(sentences: Iterable[str | None]) -> list[str]:
    return [sentence.removesuffix(".") + "." for sentence in sentences if sentence]


_OPENED: Final[Mapping[EventType, Callable[[str, Data, Name], list[str | None]]]] = {
    EventType.LIQUIDATION_CASCADE: _cascade,
    EventType.FUNDING_ANOMALY: _funding,
    EventType.FUNDING_REVERSAL: _reversal,
    EventType.VOLATILITY_REGIME: _volatility,
    EventType.REGIME_SHIFT: _shift,
    EventType.CORRELATION_BREAK: _break,
    EventType.LEADERSHIP_CHANGE: _leader,
}
_NOUNS: Final = {
    EventType.LIQUIDATION_CASCADE: "liquidation cascade",
    EventType.FUNDING_ANOMALY: "funding anomaly",
    EventType.FUNDING_REVERSAL: "funding reversal",
    EventType.VOLATILITY_REGIME: "unusual volatility",
    EventType.REGIME_SHIFT: "regime",
    EventType.CORRELATION_BREAK: "correlation break",
    EventType.LEADERSHIP_CHANGE: "lead",
}
TOLD: Final = frozenset(_OPENED)
"""Types of which there are sentences; what the service tells of itself keeps its own description."""
