"""From an event to what a person is told: facts with units, links with labels, no receiver's markup."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final, TypeAlias

from regimes import wording
from regimes.alerting.message import Fact, Link, Message
from regimes.events import EventBody, Phase, Severity, TrackRecord, utc_ms
from regimes.timeframe import HOUR_MS

_LINK_LABELS: Final = {"dashboard": "View on dashboard", "more": "More info"}
_NAMES_SHOWN: Final = 10
_LEVELS_SHOWN: Final = 5

Say: TypeAlias = Callable[[Any], str | None]


def render(
    body: EventBody,
    *,
    may_edit: bool = True,
    reminder: int = 0,
    late_ms: int | None = None,
    suppressed: int = 0,
) -> Message:
    """Tell an event. A number the event does not have, or has in a form unknown here, is left out.

    may_edit, reminder, late_ms, suppressed: as in `Message`. An event whose data say `is_test` is marked as a test.
    """
    return Message(
        event_id=body.id,
        revision=body.revision,
        reminder=reminder,
        may_edit=may_edit,
        severity=Severity[body.severity],
        phase=Phase(body.phase),
        symbol=body.symbol,
        title=body.title,
        summary=body.description,
        why=body.why,
        ts_ms=utc_ms(body.timestamp),
        started_ms=utc_ms(body.started),
        facts=(*facts(body.data), *_record(body.track_record)),
        links=tuple(Link(_LINK_LABELS.get(name, _words(name)), url) for name, url in body.links.items()),
        is_test=body.data.get("is_test") is True,
        late_ms=late_ms,
        suppressed=suppressed,
    )


def _record(record: TrackRecord | None) -> tuple[Fact, ...]:
    return () if record is None else (Fact("Track record", record.words),)


def facts(data: Mapping[str, Any]) -> tuple[Fact, ...]:
    """The numbers of an event that a person wants, in the order in which they matter."""
    said = ((label, say(data[key])) for key, label, say in _FACTS if data.get(key) is not None)
    return tuple(Fact(label, value) for label, value in said if value)


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _number(say: Callable[[float], str]) -> Say:
    """Say finite numbers only."""

    def guarded(value: Any) -> str | None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        return say(value) if is_number else None

    return guarded


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _names(value: Any) -> str | None:
    if not isinstance(value, list | tuple):
        return None
    more = f" and {len(value) - _NAMES_SHOWN} more" if len(value) > _NAMES_SHOWN else ""
    return ", ".join(str(name) for name in value[:_NAMES_SHOWN]) + more


def _prices(value: Any) -> str | None:
    if not isinstance(value, list | tuple):
        return None
    return ", ".join(filter(None, map(_number(wording.price), value[:_LEVELS_SHOWN])))


def _side(value: Any) -> str | None:
    return (
        {"long": "longs", "short": "shorts", "balanced": "longs and shorts alike"}.get(value)
        if _text(value)
        else None
    )


def _payer(value: Any) -> str | None:
    known = {"longs_pay": "longs pay shorts", "shorts_pay": "shorts pay longs", "none": "nobody"}
    return known.get(value) if _text(value) else None


_USD: Final = _number(wording.usd)
_USD_PER_HOUR: Final = _number(wording.usd_per_hour)
_PERCENT: Final = _number(wording.percent)
_WHOLE_PERCENT: Final = _number(lambda share: wording.percent(share, 0))
_RATE: Final = _number(lambda rate: wording.signed_percent(rate, 4))
_RATIO: Final = _number(wording.ratio)
_SIGNED: Final = _number(wording.signed)
_COUNT: Final = _number(lambda number: f"{number:,.0f}")
_PERCENTILE: Final = _number(lambda rank: f"{rank:.1f} of 100")
# What has just begun has no length worth a line.
_HOURS: Final = _number(lambda hours: wording.duration(round(hours * HOUR_MS)) if hours > 0 else "")
_OF_FIVE: Final = _number(lambda level: f"{level:.0f} of 5")

# Keys as the features name them. One list for all event types: a key means the same wherever it stands.
_FACTS: Final[tuple[tuple[str, str, Say], ...]] = (
    ("severity", "Severity", _OF_FIVE),
    ("velocity_usd_per_hour", "Velocity", _USD_PER_HOUR),
    ("total_liquidation_usd", "Liquidated in 24 h", _USD),
    ("episode_usd", "In this episode", _USD),
    ("dominant_side", "Mostly", _side),
    ("largest_usd", "Largest", _USD),
    ("liquidated_share_of_open_interest", "Share of open interest", _PERCENT),
    ("support_levels", "Support", _prices),
    ("resistance_levels", "Resistance", _prices),
    ("burst_confidence", "Burst, confidence", _WHOLE_PERCENT),
    ("breadth", "Symbols in a cascade", _COUNT),
    ("funding_rate", "Funding rate", _RATE),
    ("interval_hours", "Paid every", _HOURS),
    ("predicted_rate", "Predicted next", _RATE),
    ("z_score", "z-score", _SIGNED),
    ("mean_8h", "Usual for 8 h (30 d)", _RATE),
    ("percentile", "Percentile in 30 d", _PERCENTILE),
    ("direction", "Who pays", _payer),
    ("p_revert_24h", "Funding back to normal in 24 h", _WHOLE_PERCENT),
    ("p_revert_72h", "Funding back to normal in 72 h", _WHOLE_PERCENT),
    ("vol_regime", "Regime", _text),
    ("primary_regime", "Regime", _text),
    ("previous_regime", "Before", _text),
    ("volatility_24h", "Volatility 24 h", _PERCENT),
    ("baseline_30d", "Usual (30 d)", _PERCENT),
    ("ratio", "Against usual", _RATIO),
    ("risk_multiplier", "Risk multiplier", _RATIO),
    ("confidence", "Confidence", _WHOLE_PERCENT),
    *((f"{timeframe}_regime", timeframe, _text) for timeframe in ("1h", "4h", "1d", "1w")),
    ("current", "Correlation 7 d", _SIGNED),
    ("current_24h", "Correlation 24 h", _SIGNED),
    ("normal", "Usual (30 d)", _SIGNED),
    ("change", "Change 7 d", _SIGNED),
    ("change_24h", "Change 24 h", _SIGNED),
    ("leading_asset", "Leads", _text),
    ("lagging_assets", "Follow", _names),
    ("peak_severity", "Peak severity", _OF_FIVE),
    ("peak_volatility_24h", "Peak volatility", _PERCENT),
    ("peak_change", "Peak change", _SIGNED),
    ("duration_hours", "Lasts", _HOURS),
    ("count", "Events", _COUNT),
    ("endpoint", "Endpoint", _text),
)
