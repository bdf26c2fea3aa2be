"""What a page says before its scripts run: the state of the market, in the words that `static/js/truth.js` has for it."""

from collections.abc import Iterable
from html import escape
from typing import Final

from regimes.observations import MARKET
from regimes.web.shapes import Market

_MARKS: Final = {"NORMAL": ("calm", "●"), "ACTIVE": ("warning", "▲"), "CRISIS": ("critical", "■")}
_BADGE: Final = (
    '<span class="badge" id="market" data-level="{}"><span class="shape" aria-hidden="true">{}</span>'
    '<span class="word">{}</span></span>'
)
_SUMMARY: Final = '<p class="summary" id="summary">{}</p>'


def with_market(page: str, market: Market) -> str:
    """A page with the state of the market in the places that its file leaves to the scripts."""
    level, shape = _MARKS[market.state]
    said = f"Market {market.state} · {why(market)}."
    page = page.replace(_BADGE.format("off", "○", "waiting"), _BADGE.format(level, shape, market.state))
    return page.replace(_SUMMARY.format(""), _SUMMARY.format(escape(said)))


def why(market: Market) -> str:
    """Which signals alert, by how much, and where."""
    told = (("critical", market.critical), ("warning", market.warning))
    return " · ".join(f"{level}: {_grouped(names)}" for level, names in told if names) or "no signal alerts"


def _grouped(names: Iterable[str]) -> str:
    """`cascades (BTC/USDT, ETH/USDT)` for each signal of a list such as `cascades BTC/USDT`."""
    groups: dict[str, list[str]] = {}
    for name in names:
        signal, _, where = name.partition(" ")
        groups.setdefault(signal, []).append("whole market" if where == MARKET else where)
    return ", ".join(f"{signal} ({', '.join(places)})" for signal, places in groups.items())
