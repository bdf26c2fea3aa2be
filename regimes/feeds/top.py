"""`"top:50"` in the configuration: the most traded symbols of the price venue."""

import re
from collections.abc import Sequence
from typing import Final

from regimes.clock import Clock
from regimes.errors import ConfigError
from regimes.feeds.rest import RestFailedError
from regimes.feeds.settings import VenuesSettings
from regimes.feeds.symbols import rank_by_volume
from regimes.feeds.venue import Venue

_TOP: Final = re.compile(r"^top:(?P<count>[1-9]\d{0,3})$")
_QUOTE: Final = "USDT"


async def resolve_symbols(entries: Sequence[str], settings: VenuesSettings, clock: Clock) -> tuple[str, ...]:
    """Replace `top:N` by the N symbols quoted in USDT with the largest 24 h volume; each symbol once, in order.

    Asks the exchange only where an entry needs it. Raises ConfigError when it cannot be reached, as nothing can be
    watched then, and for a `top:` that is no number of 1 to 9999.
    """
    counts = [_count(entry) for entry in entries if entry.startswith("top:")]
    ranked = await _ranked(max(counts), settings, clock) if counts else ()
    found: dict[str, None] = {}
    for entry in entries:
        found.update(dict.fromkeys(ranked[: _count(entry)] if entry.startswith("top:") else (entry,)))
    return tuple(found)


def _count(entry: str) -> int:
    match = _TOP.match(entry)
    if match is None:
        raise ConfigError(f"symbols: {entry!r} must be top: and a number of 1 to 9999, such as top:50")
    return int(match["count"])


async def _ranked(count: int, settings: VenuesSettings, clock: Clock) -> tuple[str, ...]:
    venue = Venue(settings.spot or settings.derivatives, settings, clock, sets_clock=False)
    try:
        await venue.load()
        return rank_by_volume(await venue.rest.tickers(), venue.symbols, count, _QUOTE)
    except RestFailedError as error:
        raise ConfigError(
            f"symbols: top:{count} needs {venue.name}, which cannot be reached ({error}); name the symbols instead"
        ) from error
    finally:
        await venue.close()
