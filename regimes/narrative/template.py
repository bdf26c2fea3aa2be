"""Paragraphs by fixed rules: the same event or package always gives the same words."""

from collections.abc import Mapping
from typing import Any

from regimes.events import EventBody, Phase
from regimes.narrative.phrases import TOLD, Name, ended, headline, opened
from regimes.narrative.settings import Style
from regimes.wording import percent, price, ratio, signed


def _as_it_is(name: str) -> str:
    return name


def event_paragraph(event: EventBody, style: Style, name: Name = _as_it_is) -> str:
    """An event in one of three lengths. name: how a symbol or pair is written."""
    if event.event_type not in TOLD:
        return event.title if style == "headline" else f"{event.title.removesuffix('.')}. {event.description}"
    facts = (event.event_type, event.symbol, event.data, name)
    told = ended(*facts) if event.phase == Phase.CLOSED else opened(*facts)
    if style == "headline":
        return told[0].removesuffix(".") if event.phase == Phase.CLOSED else headline(*facts)
    if style == "brief":
        return " ".join(told[:2])
    return " ".join([*told, f"Severity {event.severity}; begun {event.started}.", *_reasons(event)])


def _reasons(event: EventBody) -> list[str]:
    told = [f"Rule: {event.why.removesuffix('.')}."] if event.why else []
    if event.track_record is not None:
        told.append(f"Track record: {event.track_record.words}.")
    return told


def package_paragraph(package: Mapping[str, Any], style: Style) -> str:
    """A package in one of three lengths; `brief` is what the package says of itself."""
    brief = str(package["narrative"])
    if style == "brief":
        return brief
    if style == "headline":
        return _package_headline(package)
    more = [_volatility(package["volatility"]), _levels(package["cascades"]), _timeframes(package["regimes"])]
    return " ".join([brief, *filter(None, more)])


def _package_headline(package: Mapping[str, Any]) -> str:
    words = [str(package["market"]["state"])]
    regime, times = (package["volatility"].get(key) for key in ("vol_regime", "ratio"))
    if regime is not None:
        words.append(f"volatility {regime}" + (f" ({ratio(times)} usual)" if times is not None else ""))
    if package["cascades"].get("cascade_detected"):
        words.append(f"cascade of severity {package['cascades']['severity']} of 5")
    z_score = package["funding"].get("z_score")
    if package["funding"].get("is_anomaly") and z_score is not None:
        words.append(f"funding {signed(z_score, 1)} standard deviations from its mean")
    broken = len(package["correlations"].get("breaks") or ())
    if broken:
        words.append(f"{broken} broken correlation{'s' if broken > 1 else ''}")
    return f"{package['symbol']}: {', '.join(words)}"


def _volatility(signal: Mapping[str, Any]) -> str | None:
    base, risk = signal.get("baseline_30d"), signal.get("risk_multiplier")
    if base is None or risk is None:
        return None
    return f"Its usual volatility (30 days) is {percent(base)} a day; the risk multiplier is {ratio(risk)}."


def _levels(signal: Mapping[str, Any]) -> str | None:
    told = [
        f"{words} near {', '.join(price(level) for level in levels[:3])}"
        for words, key in (("support", "support_levels"), ("resistance", "resistance_levels"))
        if (levels := signal.get(key))
    ]
    return f"There is {' and '.join(told)}." if told else None


def _timeframes(signal: Mapping[str, Any]) -> str | None:
    told = [
        f"{key.removesuffix('_regime')} {state}"
        for key, state in signal.items()
        if key.endswith("_regime") and key != "primary_regime" and isinstance(state, str) and key[0].isdigit()
    ]
    return f"By timeframe: {', '.join(told)}." if told else None
