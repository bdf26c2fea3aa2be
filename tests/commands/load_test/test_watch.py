from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from regimes.commands.load_test import watch
from regimes.commands.load_test.watch import Watch


class Service:
    """Tells at `/metrics` what it is set to."""

    def __init__(self) -> None:
        self.lag_s = self.depth = 0.0
        self.address = ""

    async def tell(self, _request: web.Request) -> web.Response:
        text = f'regimes_loop_lag_seconds{{quantile="0.99"}} {self.lag_s}\nregimes_queue_depth {self.depth}\n'
        return web.Response(text=text)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    told = Service()
    app = web.Application()
    app.router.add_get("/metrics", told.tell)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    told.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield told
    await runner.cleanup()


async def seen(service: Service, *told: tuple[float, float]) -> Watch:
    """One look at each lag and depth."""
    looking = Watch(service.address)
    for service.lag_s, service.depth in told:
        await looking.look()
    return looking


async def test_lag_that_the_start_still_brings_into_the_first_minute_is_not_counted(service: Service) -> None:
    looking = await seen(service, (0.5, 7), (0.02, 3), (0.01, 5))
    assert (looking.loop_lag_ms, looking.queue_depth) == (10, 7)


async def test_after_a_minute_the_worst_lag_counts(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LAG_WINDOW_S", 0.0)
    looking = await seen(service, (0.01, 1), (0.2, 1), (0.02, 1))
    assert looking.loop_lag_ms == 200
