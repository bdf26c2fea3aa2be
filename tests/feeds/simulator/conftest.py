from collections.abc import AsyncIterator

import pytest

from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.synthetic import SyntheticMarket
from tests.feeds.simulator.clients import StepClock

START_MS = 1_738_065_600_000 + 10 * 60_000  # 2025-01-28 12:10 UTC


@pytest.fixture(scope="session")
def market() -> SyntheticMarket:
    return SyntheticMarket(("BTC/USDT", "ETH/USDT", "SOL/USDT"), START_MS, 1, "cascade")


@pytest.fixture
def clock() -> StepClock:
    return StepClock(START_MS)


@pytest.fixture
async def exchange(market: SyntheticMarket, clock: StepClock) -> AsyncIterator[LoopbackExchange]:
    async with LoopbackExchange(market, clock) as opened:
        yield opened
