"""One endpoint hangs: the others get their alerts as fast as before, and the engine does not notice."""

from collections.abc import Sequence
from pathlib import Path

from tests.chaos import world
from tests.chaos.world import Exchange, Receiver

HEALTHY, HUNG = world.alike(24)[:12], world.alike(24)[12:]
SYMBOLS = ("BTC/USDT", *HEALTHY, *HUNG)
PROMPT_S = 1.5
"""Far less than the hanging endpoint's timeout, far more than a busy machine needs."""


async def delays_s(market: Exchange, hook: Receiver, symbols: Sequence[str]) -> list[float]:
    """From the order to liquidate until the alert has come, for one symbol after the other."""
    found: list[float] = []
    for symbol in symbols:
        began_s = world.now_s()
        await market.strike(symbol, seconds=0.0)
        await hook.hears(symbol=symbol)
        found.append(world.now_s() - began_s)
    return sorted(found)


async def test_a_hung_endpoint_delays_neither_the_others_nor_the_engine(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/service.db"
    async with world.exchange(SYMBOLS) as market, world.receivers(3) as hooks:
        hook, *others = hooks
        variables = world.variables(
            market,
            SYMBOLS,
            hooks,
            url,
            REGIMES__DELIVERY__TIMEOUT_SECONDS="10",
            REGIMES__PIPELINE__STATUS_SECONDS="1",
        )
        async with world.service(tmp_path, variables) as service:
            await service.is_live()
            usual = await delays_s(market, hook, HEALTHY)
            lag_before = await service.next("status")
            for other in others:
                await other.set_mode("hanging")
            hung = await delays_s(market, hook, HUNG)
            lag_after = await service.next("status")
            stuck = [name for other in others for name in other.bodies if name not in other.accepted]
            for other in others:
                await other.set_mode("up")
    assert len(stuck) >= 8, "the others did not hang"
    # The slowest of 12 stands for p99.
    assert hung[-1] < max(PROMPT_S, 3 * usual[-1]), f"usual {usual}, beside a hung one {hung}"
    assert lag_after["loop_lag_p99_ms"] < max(50.0, 3 * lag_before["loop_lag_p99_ms"])
