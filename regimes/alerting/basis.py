"""What makes an event unusual enough for a message: the plain signal, the calibrated one beside it, or both."""

from typing import Final

from regimes.alerting.records import Reason
from regimes.alerting.settings import AlertingSettings
from regimes.events import Event, EventType, Severity

_STATES: Final = ("STABLE", "HIGH_VOL", "EXPLOSIVE", "EXTREME")
_AS_SEVERE: Final = {Severity.INFO: "HIGH_VOL", Severity.WARNING: "EXPLOSIVE", Severity.CRITICAL: "EXTREME"}


def too_usual(event: Event, settings: AlertingSettings) -> tuple[Reason, str] | None:
    """Why an event is not worth a message by the basis of its kind; None where it is.

    Where the calibrated number is not known, the plain signal alone decides.
    """
    match event.type:
        case EventType.LIQUIDATION_CASCADE:
            return _cascade(event, settings)
        case EventType.VOLATILITY_REGIME if settings.volatility_basis == "both":
            return _volatility(event)
        case EventType.FUNDING_ANOMALY if settings.funding_basis == "both":
            return _funding(event)
        case _:
            return None


def _cascade(event: Event, settings: AlertingSettings) -> tuple[Reason, str] | None:
    basis, least = settings.cascade_basis, settings.cascade_relative_severity
    relative = event.data.get("peak_severity_relative")
    is_burst = basis == "burst" and bool(event.data.get("burst"))
    if basis != "absolute" and relative is not None and relative < least and not is_burst:
        and_no = ", and no burst" if basis == "burst" else ""
        return Reason.USUAL, f"usual for {event.symbol}: relative severity {relative} of 5 < {least}{and_no}"
    if basis != "relative" and event.data.get("basis") == "relative":
        severity = event.data["peak_severity"]
        return Reason.SMALL, f"unusual for {event.symbol}, yet small: severity {severity} of 5 in dollars"
    return None


def _volatility(event: Event) -> tuple[Reason, str] | None:
    state, least = event.data.get("vol_regime_calibrated"), _AS_SEVERE[event.severity]
    if state is None or _STATES.index(state) >= _STATES.index(least):
        return None
    return Reason.USUAL, f"usual for {event.symbol} and the hour: by the forecast {state}, less than {least}"


def _funding(event: Event) -> tuple[Reason, str] | None:
    if event.data.get("robust_alarm") is not False:
        return None
    return Reason.USUAL, f"usual for {event.symbol}: robust z {event.data['z_robust']:.1f}, no alarm"
