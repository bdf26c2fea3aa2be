from typing import NamedTuple

from regimes.events import Phase
from regimes.features.funding_anomaly.reading import FundingReading
from regimes.features.funding_anomaly.settings import FundingSettings
from regimes.wording import count, duration, percent, signed, signed_percent

_CAVEAT = "It is about funding and says nothing about where the price will go."


class Words(NamedTuple):
    """What a person reads in an event."""

    title: str
    description: str
    why: str


def anomaly(
    reading: FundingReading, settings: FundingSettings, phase: Phase, peak: int, lasted_ms: int
) -> Words:
    """A funding rate that is unusual, more unusual, or usual again."""
    z, rate = reading.z_score or 0.0, _rate(reading)
    if phase is Phase.CLOSED:
        title = f"{reading.symbol} funding no longer unusual: {rate} (z {signed(z)})"
        limit = settings.watch_z_threshold
        why = f"|z| {abs(z):.2f} < {limit:g}" if abs(z) < limit else f"z turned to {signed(z)}"
        return Words(title, f"It was unusual for {duration(lasted_ms)}. {_facts(reading)}", why)
    where = "above" if z > 0 else "below"
    reached = settings.critical_z_threshold if peak > 1 else settings.anomaly_z_threshold
    return Words(
        f"{reading.symbol} funding unusually {'high' if z > 0 else 'low'}: {rate} (z {signed(z)})",
        f"Funding is {abs(z):.1f} standard deviations {where} its mean. {_facts(reading)}{_chance(reading)} {_CAVEAT}",
        f"|z| {abs(z):.2f} >= {reached:g}",
    )


def reversal(reading: FundingReading, settings: FundingSettings, phase: Phase) -> Words:
    """A funding rate whose sign is new after an extreme."""
    turned = "negative" if (reading.rate_8h or 0.0) < 0 else "positive"
    if phase is Phase.CLOSED:
        title = f"{reading.symbol} funding reversal past: {_rate(reading)}"
        return Words(title, _facts(reading), "the next settlement came")
    hours = settings.reversal_within_hours
    return Words(
        f"{reading.symbol} funding reversal: {_rate(reading)} after an extreme of the other sign",
        f"Funding turned {turned}. {_facts(reading)} {_CAVEAT}",
        f"sign changed within {hours:g} h after |z| >= {settings.anomaly_z_threshold:g}",
    )


def out_of_sight(reading: FundingReading, lost: str) -> Words:
    """The end of an event whose data have stopped coming."""
    return Words(f"{reading.symbol} funding out of sight", f"The last that was seen: {_rate(reading)}.", lost)


def _rate(reading: FundingReading) -> str:
    return f"{signed_percent(reading.funding_rate or 0.0, 4)} per {reading.interval_hours or 0.0:g} h"


def _facts(reading: FundingReading) -> str:
    payers = {"longs_pay": "Longs pay shorts", "shorts_pay": "Shorts pay longs"}
    parts = [
        (
            f"{payers.get(reading.direction or '', 'Nobody pays')} {_rate(reading)}; "
            f"the mean of {count(reading.n, 'settlement')} is {signed_percent(reading.mean_8h or 0.0, 4)} "
            f"per 8 h, the standard deviation {percent(reading.std_8h or 0.0, 4)}."
        ),
    ]
    if reading.percentile is not None:
        parts.append(f"Percentile {reading.percentile:.0f}.")
    if reading.run_length:
        parts.append(f"Extreme for {count(reading.run_length, 'settlement')}.")
    return " ".join(parts)


def _chance(reading: FundingReading) -> str:
    if reading.p_revert_24h is None or reading.p_revert_72h is None:
        return ""
    soon, later = percent(reading.p_revert_24h, 0), percent(reading.p_revert_72h, 0)
    return f" Usual again within 24 h with a probability of {soon}, within 72 h {later}."
