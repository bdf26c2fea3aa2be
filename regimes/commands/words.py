"""The signals of a package in a few words each, for tables and plain lines."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from rich.table import Table
from rich.text import Text

from regimes.commands.receiver import Received
from regimes.events import Event, Phase, iso_utc
from regimes.wording import duration, percent, ratio, signed, usd, usd_per_hour

Signal: TypeAlias = Mapping[str, Any]
_DIRECTIONS: Final = {"SPOT_IGNITION": "up", "SPOT_COOLING": "down", "SPOT_NEUTRAL": "-", None: "?"}
_PHASES: Final = {Phase.OPENED: "!", Phase.UPDATED: "^", Phase.CLOSED: "."}
_STYLES: Final = {"INFO": "cyan", "WARNING": "yellow", "CRITICAL": "bold red"}


def say(key: str, signal: Signal) -> str:
    """Say what a signal knows; or, when it knows nothing, why."""
    if not signal["ready"]:
        return _missing(signal)
    words = _WORDS.get(key, _any)(signal)
    return f"{words} (stale)" if signal["stale"] else words


def _missing(signal: Signal) -> str:
    status = str(signal["status"])
    if status == "warming":
        return f"warming {signal['n']}/{signal['needed']}"
    return f"{status}: {signal['detail']}" if signal["detail"] else status


def _cascade(signal: Signal) -> str:
    seen = f"{usd(signal['total_liquidation_usd'])} in 24 h"
    if not signal["severity"]:
        return f"none, {seen}"
    return f"severity {signal['severity']}, {usd_per_hour(signal['velocity_usd_per_hour'])}, {seen}"


def _funding(signal: Signal) -> str:
    score = "z ?" if signal["z_score"] is None else f"z {signed(signal['z_score'], 1)}"
    return f"{percent(signal['funding_rate'], 4)}, {score}"


def _volatility(signal: Signal) -> str:
    return (
        f"{signal['vol_regime']} {percent(signal['volatility_24h'], 1)}, {ratio(signal['ratio'])} normal, "
        f"risk {ratio(signal['risk_multiplier'], 1)}"
    )


def _regimes(signal: Signal) -> str:
    each = " ".join(f"{name} {_DIRECTIONS[part['regime']]}" for name, part in signal["timeframes"].items())
    return f"{signal['primary_regime']} {percent(signal['confidence'], 0)} ({each})"


def _correlations(signal: Signal) -> str:
    pairs = [
        f"{pair} {value:.2f}{' BREAK' if pair in signal['breaks'] else ''}"
        for pair, value in signal["current"].items()
        if value is not None
    ]
    leader = f", {signal['leading_asset']} leads" if signal["leading_asset"] else ""
    return ", ".join(pairs[:3]) + leader if pairs else "no pair"


def _any(signal: Signal) -> str:
    return str(signal["status"])


_WORDS: Final[Mapping[str, Callable[[Signal], str]]] = {
    "cascades": _cascade,
    "funding": _funding,
    "volatility": _volatility,
    "regimes": _regimes,
    "correlations": _correlations,
}
HEADINGS: Final = {
    "cascades": "liquidation cascade",
    "funding": "funding",
    "volatility": "volatility",
    "regimes": "timeframes",
    "correlations": "correlation",
}


def signals(package: Mapping[str, Any]) -> dict[str, Signal]:
    """Return the signals of a package by key, those of other packages too."""
    return {key: value for key, value in package.items() if isinstance(value, Mapping) and "status" in value}


def table(packages: Mapping[str, Mapping[str, Any]]) -> Table:
    """Lay packages out, a row each, a column a signal; above it the state of the market."""
    first = next(iter(packages.values()))
    market = first["market"]
    title = Text(f"{first['timestamp']}   market {market['state']}: {market['why']}")
    shown = Table("symbol", title=title, title_justify="left")
    for key in signals(first):
        shown.add_column(HEADINGS.get(key, key))
    for symbol, package in packages.items():
        cells = signals(package).items()
        shown.add_row(
            Text(symbol), *(Text(say(key, cell), _STYLES.get(cell["alert_level"], "")) for key, cell in cells)
        )
    return shown


def lines(packages: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say the same in plain lines, one a symbol."""
    return [
        f"{package['timestamp']} {symbol}: "
        + " | ".join(
            f"{HEADINGS.get(key, key)}: {say(key, signal)}" for key, signal in signals(package).items()
        )
        for symbol, package in packages.items()
    ]


def event_line(event: Event) -> str:
    """Say one state of an episode in one line."""
    lasted = f" after {duration(event.ts_ms - event.started_ms)}" if event.phase is Phase.CLOSED else ""
    return (
        f"{iso_utc(event.ts_ms)} {_PHASES[event.phase]} {event.severity.name:<8} {event.type.value} {event.symbol} "
        f"{event.phase.value}{lasted}: {event.title} ({event.why})"
    )


def message_line(received: Received) -> str:
    """Say in one line what a receiver of webhooks got."""
    return f"  {received.target:<8} {'edit' if received.changes else 'new':<4} {received.shown}"


def event_style(event: Event) -> str:
    """Colour of an event; its words say the same."""
    return "dim" if event.phase is Phase.CLOSED else _STYLES[event.severity.name]
