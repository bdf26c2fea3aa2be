"""How much there is to do, and what counts as keeping up."""

from collections.abc import Mapping
from typing import Final

import msgspec


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is put on a service.

    symbols: watched ones. per_second: liquidations, all the time. burst: so many more at once, every `BURST_EVERY_S`.
    shown: symbols each viewer asks for, 0 for all. seconds: how long. one_core: the service may use one core only.
    """

    symbols: int
    per_second: int
    burst: int
    viewers: int
    endpoints: int
    shown: int = 0
    seconds: int = 60
    one_core: bool = False


class Bars(msgspec.Struct, frozen=True, kw_only=True):
    """The most that may be measured. memory_mb: resident, at any time. cpu_percent: of one core, on average."""

    memory_mb: float
    cpu_percent: float = 80.0
    webhook_p99_ms: float = 250.0
    viewer_p99_ms: float = 1_000.0
    loop_lag_p99_ms: float = 100.0


class Tier(msgspec.Struct, frozen=True):
    """A load and its bars."""

    load: Load
    bars: Bars

    def changed(self, **load: int) -> "Tier":
        """The same bars for another load."""
        return Tier(msgspec.structs.replace(self.load, **load), self.bars)


BURST_EVERY_S: Final = 10.0
TIERS: Final[Mapping[str, Tier]] = {
    "3": Tier(
        Load(symbols=3, per_second=20, burst=500, viewers=5, endpoints=2),
        Bars(memory_mb=300, cpu_percent=25),
    ),
    "10": Tier(
        Load(symbols=10, per_second=50, burst=1_000, viewers=50, endpoints=10),
        Bars(memory_mb=300, cpu_percent=30),
    ),
    "50": Tier(
        Load(symbols=50, per_second=200, burst=2_000, viewers=100, endpoints=20),
        Bars(memory_mb=350, cpu_percent=50),
    ),
    "500": Tier(
        Load(
            symbols=500, per_second=1_000, burst=10_000, viewers=1_000, endpoints=50, shown=20, one_core=True
        ),
        Bars(memory_mb=800, cpu_percent=100),
    ),
}
"""By number of symbols: what one person watches, a team, a desk, and everything Binance lists."""
