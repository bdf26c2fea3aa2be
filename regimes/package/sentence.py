"""What a package says, in plain English: made from its own numbers by fixed rules."""

from collections.abc import Mapping
from typing import Any

from regimes.wording import percent, ratio, signed, usd, usd_per_hour


def sentence(package: Mapping[str, Any], market: Mapping[str, Any]) -> str:
    """A few short sentences on one symbol's package and the market's state; only facts that stand in them."""
    says = {
        "volatility": _volatility(package["volatility"]),
        "cascades": _cascades(package["cascades"]),
        "funding": _funding(package["funding"]),
        "regimes": _regimes(package["regimes"]),
        "correlations": _correlations(package["correlations"]),
    }
    facts = [text for text in says.values() if text is not None]
    unknown = [key for key, text in says.items() if text is None]
    parts = [
        f"{package['symbol']}: {'; '.join(facts)}."
        if facts
        else f"{package['symbol']}: nothing is known yet."
    ]
    if facts and unknown:
        parts.append(f"Not known yet: {', '.join(unknown)}.")
    return " ".join([*parts, f"Market: {market['state']} ({market['why']})."])


def _volatility(signal: Mapping[str, Any]) -> str | None:
    regime, daily, times = (signal.get(name) for name in ("vol_regime", "volatility_24h", "ratio"))
    if regime is None or daily is None:
        return None
    usual = f", {ratio(times)} its usual" if times is not None else ""
    return f"volatility is {regime} at {percent(daily)} a day{usual}{_next_day(signal)}"


def _next_day(signal: Mapping[str, Any]) -> str:
    """What the calibrated layer expects, with its uncertainty; nothing where it does not speak."""
    names = ("forecast_24h", "forecast_24h_low", "forecast_24h_high")
    forecast, low, high = (signal.get(name) for name in names)
    if forecast is None or low is None or high is None:
        return ""
    extreme = signal.get("p_extreme")
    chance = "" if extreme is None else f", p 24 h extreme {percent(extreme, 0)}"
    return f", next 24 h {percent(forecast)} (80 %: {percent(low)} to {percent(high)}){chance}"


def _cascades(signal: Mapping[str, Any]) -> str | None:
    total = signal.get("total_liquidation_usd")
    if total is None:
        return None
    seen = f"{usd(total)} of liquidations seen in 24 h"
    if not signal.get("cascade_detected"):
        return f"{seen}, no cascade{_burst(signal)}"
    velocity = usd_per_hour(signal["velocity_usd_per_hour"])
    return f"a cascade of severity {signal['severity']} of 5, {seen}, up to {velocity}{_burst(signal)}"


def _burst(signal: Mapping[str, Any]) -> str:
    sure = signal.get("burst_confidence")
    return "" if sure is None else f", a burst now (p {percent(sure, 0)})"


def _funding(signal: Mapping[str, Any]) -> str | None:
    rate, z = signal.get("funding_rate"), signal.get("z_score")
    if rate is None:
        return None
    words = f"funding is {percent(rate, 4)}"
    if z is None:
        return words
    soon = signal.get("p_revert_24h")
    chance = "" if soon is None else f", usual again within 24 h with p {percent(soon, 0)}"
    anomaly = " (anomaly)" if signal.get("is_anomaly") else ""
    return f"{words}, {signed(z, 1)} standard deviations from its mean{anomaly}{chance}"


def _regimes(signal: Mapping[str, Any]) -> str | None:
    primary, agreement = signal.get("primary_regime"), signal.get("confidence")
    if primary is None or agreement is None:
        return None
    return f"the primary regime is {primary} with {percent(agreement, 0)} agreement"


def _correlations(signal: Mapping[str, Any]) -> str | None:
    if not signal.get("ready"):
        return None
    breaks = signal.get("breaks") or ()
    leader = signal.get("leading_asset")
    led = f", led by {leader}" if leader else ""
    if not breaks:
        return f"correlations are near their normal{led}"
    told = [_break(signal, pair) for pair in breaks[:3]]
    more = f" and {len(breaks) - 3} more" if len(breaks) > 3 else ""
    return f"correlation is broken for {', '.join(told)}{more}{led}"


def _break(signal: Mapping[str, Any], pair: str) -> str:
    """A broken pair in the window in which it has moved more."""
    windows = [
        (abs(change), tail, name)
        for tail, name in (("", "7 d"), ("_24h", "24 h"))
        if (change := signal.get("change" + tail, {}).get(pair)) is not None
    ]
    if not windows:
        return pair
    _, tail, name = max(windows)
    now, normal = signal["current" + tail][pair], signal["normal" + tail][pair]
    return f"{pair} ({now:.2f} over {name}, normally {normal:.2f})"
