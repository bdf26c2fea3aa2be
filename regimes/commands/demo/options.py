"""What the demo is asked for, checked as a whole."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from regimes.errors import ConfigError
from regimes.feeds.simulator.recorded import RecordedMarket
from regimes.feeds.simulator.scenarios import SCENARIOS
from regimes.feeds.simulator.source import MarketSource
from regimes.feeds.simulator.synthetic import SyntheticMarket

# A fixed beginning, so that a seed always shows the same market; a Monday afternoon.
BEGIN: Final = datetime(2025, 1, 27, 13, tzinfo=UTC)
SPEED: Final = 60.0
ONCE_SPEED: Final = 1200.0
SYMBOLS: Final = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The command line of `regimes demo`. None means the default, which depends on the others."""

    data: Path | None = None
    start: datetime | None = None
    end: datetime | None = None
    speed: float | None = None
    duration_s: float | None = None
    seed: int = 6
    scenario: str = "mixed"
    port: int | None = None
    once: bool = False
    as_json: bool = False

    @property
    def event_speed(self) -> float:
        """Seconds of market time in one real second."""
        return self.speed or (ONCE_SPEED if self.once else SPEED)

    @property
    def start_ms(self) -> int:
        """Market time at which the demo begins."""
        return _ms(self.start or BEGIN)

    @property
    def end_ms(self) -> int | None:
        """Market time at which it ends by itself; None when only Ctrl-C ends it."""
        ends = [_ms(self.end)] if self.end else []
        if self.duration_s:
            ends.append(self.start_ms + int(self.duration_s * 1000))
        return min(ends) if ends else None

    def source(self, symbols: tuple[str, ...]) -> MarketSource:
        """Return the market the exchange serves. Raises ConfigError when the options do not go together."""
        if self.scenario not in SCENARIOS:
            raise ConfigError(f"--scenario {self.scenario}: must be one of {', '.join(SCENARIOS)}")
        if self.data is None:
            if self.end is not None and self.end_ms is not None and self.end_ms <= self.start_ms:
                raise ConfigError("--to must be later than --from")
            market = SyntheticMarket(symbols, self.start_ms, self.seed, self.scenario)
            market.end_ms = min(filter(None, (market.end_ms, self.end_ms)))
            return market
        if self.start is None or self.end is None:
            raise ConfigError(
                "--data needs --from and --to, such as --from 2025-01-27T13:00Z --to 2025-01-27T18:00Z"
            )
        return RecordedMarket(self.data, symbols, self.start_ms, self.end_ms or _ms(self.end))


def plain_symbols(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Return the configured symbols, or three well-known ones where the configuration ranks by volume."""
    return SYMBOLS if any(symbol.startswith("top:") for symbol in symbols) else symbols


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
