from typing import Any

import msgspec

from regimes.events import Event, EventType, Phase, Severity
from regimes.features.liquidation_cascade.reading import CascadeReading, SymbolCascadeReading
from regimes.features.liquidation_cascade.tracker import Tracker
from regimes.maths.cascade import label
from regimes.observations import MARKET
from regimes.timeframe import MINUTE_MS
from regimes.wording import count, duration, percent, price, usd, usd_in_full, usd_per_hour

_SECOND_MS = 1_000
_NOT_DATA = {"feature", "symbol", "status", "as_of_ms", "detail", "alert_level"}


def event(
    tracker: Tracker, reading: CascadeReading, now_ms: int, phase: Phase, started_ms: int, revision: int
) -> Event:
    """One state of an episode, with the numbers of the reading and of the episode so far.

    It is as severe as the episode has been at its peak, so that its end reaches those its height has reached.
    """
    peak = tracker.episode.peak
    return Event(
        type=EventType.LIQUIDATION_CASCADE,
        symbol=tracker.symbol,
        severity=Severity[label(peak) or "INFO"],
        phase=phase,
        ts_ms=now_ms,
        started_ms=started_ms,
        revision=revision,
        title=_title(tracker, phase, now_ms - started_ms),
        description=_description(tracker, reading),
        why=_why(tracker, reading, phase),
        data=_data(tracker, reading),
    )


def _title(tracker: Tracker, phase: Phase, lasted_ms: int) -> str:
    whose = "Market-wide" if tracker.symbol == MARKET else tracker.symbol
    over = " over" if phase is Phase.CLOSED else ""
    money = usd(tracker.episode_cents / 100)
    span = (
        f" in {duration(lasted_ms)}" if lasted_ms >= _SECOND_MS else ""
    )  # what has just begun took no time yet
    return f"{whose} liquidation cascade{over}: {money}{span}"


def _description(tracker: Tracker, reading: CascadeReading) -> str:
    total, long = reading.total_liquidation_usd or 0.0, reading.long_usd or 0.0
    parts = [
        (
            f"Severity {tracker.dollar_peak} of 5 at its peak, "
            f"{usd_per_hour(tracker.rules.per_hour(tracker.peak.cents))} at its fastest."
        ),
        (
            f"Seen in 24 h: {usd(total)} in {count(reading.event_count or 0, 'liquidation')}, "
            f"{percent(long / total if total else 0.0, 0)} of it longs, the largest {usd(reading.largest_usd or 0.0)}."
        ),
    ]
    if tracker.relative_peak is None:
        parts.append("Judged by dollars alone: too few hours watched to say what is usual here.")
    else:
        parts.append(f"Against its own last 30 days: {tracker.relative_peak} of 5 at its peak.")
    if isinstance(reading, SymbolCascadeReading):
        parts += _zones_in_words(reading)
    if reading.is_lower_bound:
        parts.append("The true sums are higher: not every liquidation is published or was seen.")
    if reading.coverage < 0.995:
        parts.append(f"{percent(reading.coverage, 0)} of the last 24 h was watched.")
    return " ".join(parts)


def _zones_in_words(reading: SymbolCascadeReading) -> list[str]:
    sides = (("Support", reading.support_levels), ("Resistance", reading.resistance_levels))
    return [f"{name}: {', '.join(price(level) for level in levels[:3])}." for name, levels in sides if levels]


def _why(tracker: Tracker, reading: CascadeReading, phase: Phase) -> str:
    rules = tracker.rules
    if phase is Phase.CLOSED:
        pace, peak = reading.intensity_usd_per_hour or 0.0, rules.per_hour(tracker.peak.cents)
        return (
            f"intensity {usd_per_hour(pace)} < {percent(rules.calm_fraction, 0)} of its peak "
            f"{usd_per_hour(peak)} for {duration(rules.calm_ms)}"
        )
    if not tracker.is_large and tracker.relative_peak is not None:
        hour = usd(tracker.window.sums()[1] / 100)
        return f"{hour} in 60 min: relative severity {tracker.relative_peak} of 5 >= {rules.relative_from}"
    bound = rules.velocity_for(rules.alert_from if phase is Phase.OPENED else tracker.episode.peak)
    total, threshold = reading.total_liquidation_usd or 0.0, rules.threshold_usd
    enough = f"24 h total {usd_in_full(total)} > {threshold:,.0f}"
    if not bound:
        return enough
    return f"velocity {usd_per_hour(reading.velocity_usd_per_hour or 0.0)} >= {bound:,.0f} and {enough}"


def _data(tracker: Tracker, reading: CascadeReading) -> dict[str, Any]:
    numbers: dict[str, Any] = msgspec.to_builtins(reading)
    episode = {
        "episode_usd": tracker.episode_cents / 100,
        "basis": "absolute" if tracker.is_large else "relative",
        "peak_severity": tracker.dollar_peak,
        "peak_severity_relative": tracker.relative_peak,
        "peak_intensity_usd_per_hour": tracker.rules.per_hour(tracker.peak.cents),
        "intensity_minutes": tracker.rules.intensity_ms // MINUTE_MS,
    }
    return {key: value for key, value in numbers.items() if key not in _NOT_DATA} | episode
