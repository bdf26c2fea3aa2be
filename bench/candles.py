"""A folder of candles as the service keeps them, so that a benchmark need not wait for the exchange's limits."""

from pathlib import Path

from bench.blaster import START_MS, market, symbols
from regimes.commands.load_test import market as load_market


def fill(folder: Path, count: int, *, weeks: int = 22) -> None:
    """Write the last weeks of all symbols, up to the last bar that has closed; 22 are enough for weekly bars."""
    load_market.fill(folder, market(count), symbols(count), START_MS, weeks=weeks)
