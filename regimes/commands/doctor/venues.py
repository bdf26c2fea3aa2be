"""The exchanges: reached or not, their clocks, their symbols."""

import statistics
from collections.abc import AsyncIterator
from typing import Any, Final

from regimes.clock import SystemClock
from regimes.commands.doctor.finding import Finding
from regimes.config import Settings
from regimes.errors import VenueError
from regimes.feeds.client import build_exchange
from regimes.feeds.exchanges import pro

OFFSET_MS: Final = 1_000
ROUNDS: Final = 3


async def venues(settings: Settings) -> AsyncIterator[Finding]:
    """Look at each configured exchange."""
    for role, venue in (("spot", settings.venues.spot), ("derivatives", settings.venues.derivatives)):
        if not venue:
            yield Finding(
                f"venues.{role}",
                "warning",
                "none configured",
                f"signals that need {role} data are unavailable",
            )
            continue
        exchange = build_exchange(venue, settings.venues, SystemClock())
        try:
            for finding in await _venue(role, venue, exchange, settings):
                yield finding
        finally:
            await exchange.close()


async def _venue(role: str, venue: str, exchange: Any, settings: Settings) -> list[Finding]:
    subject = f"{venue} ({role})"
    clock = SystemClock()
    try:
        offsets, trips = await _compare_clocks(exchange, clock)
        await exchange.load_markets()
    except VenueError as error:
        return [Finding(subject, "wrong", str(error), f"choose another venue for venues.{role}")]
    except (TimeoutError, pro.BaseError, OSError) as error:
        return [
            Finding(
                subject,
                "wrong",
                f"cannot be reached: {type(error).__name__}: {str(error)[:160]}",
                "check network and firewall of this machine; set venues.proxy if the way out is a proxy",
            )
        ]
    return [
        Finding(
            subject, "ok", f"reached in {statistics.median(trips):.0f} ms, {len(exchange.markets)} markets"
        ),
        _clock(subject, statistics.median(offsets)),
        _symbols(subject, exchange, settings, role),
    ]


async def _compare_clocks(exchange: Any, clock: SystemClock) -> tuple[list[float], list[float]]:
    offsets, trips = [], []
    for _ in range(ROUNDS):
        began, began_ms = clock.monotonic(), clock.now_ms()
        theirs_ms = await exchange.fetch_time()
        trip_ms = (clock.monotonic() - began) * 1000
        offsets.append(theirs_ms - (began_ms + trip_ms / 2))
        trips.append(trip_ms)
    return offsets, trips


def _clock(subject: str, offset_ms: float) -> Finding:
    words = f"this machine's clock is {abs(offset_ms):.0f} ms {'behind' if offset_ms > 0 else 'ahead'}"
    if abs(offset_ms) > OFFSET_MS:
        return Finding(
            f"clock, {subject}",
            "warning",
            words,
            "set the clock (chrony or ntpd); `run` corrects for it meanwhile",
        )
    return Finding(f"clock, {subject}", "ok", words)


def _symbols(subject: str, exchange: Any, settings: Settings, role: str) -> Finding:
    spellings = {market["base"] + "/" + market["quote"] for market in exchange.markets.values()}
    missing = [symbol for symbol in settings.symbols if "/" in symbol and symbol not in spellings]
    if missing:
        what = "candles" if role == "spot" else "liquidations and funding"
        return Finding(
            f"symbols, {subject}",
            "warning",
            f"has no {', '.join(missing)}",
            f"their {what} will be unavailable; correct `symbols` if it is a misspelling",
        )
    return Finding(f"symbols, {subject}", "ok", "has every configured symbol")
