"""One connection: what it sends, and every way in which opening it can go wrong."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from regimes.errors import VenueError
from regimes.feeds.connection import (
    MAX_FRAME_BYTES,
    MAX_FRAME_STREAMS,
    Connection,
    LostError,
    subscribe_frames,
)
from regimes.feeds.line import Backoff
from regimes.feeds.venue import Venue
from tests.feeds.harness import loopback, quick


@given(st.lists(st.text(min_size=1, max_size=80), max_size=600))
def test_every_stream_is_asked_for_once_in_frames_binance_answers(streams: list[str]) -> None:
    groups = list(subscribe_frames(streams))
    assert [stream for group in groups for stream in group] == streams
    for group in groups:
        frame = msgspec.json.encode({"method": "SUBSCRIBE", "params": group, "id": 999_999_999})
        assert len(frame) <= MAX_FRAME_BYTES
        assert 0 < len(group) <= MAX_FRAME_STREAMS


def test_about_150_kline_streams_fit_a_frame() -> None:
    groups = list(subscribe_frames([f"symbol{n}usdt@kline_1h" for n in range(500)]))
    assert 140 <= len(groups[0]) <= 200


def test_waits_double_up_to_the_bound_shortened_by_at_most_half() -> None:
    backoff = Backoff(5.0)
    for ceiling in (0.5, 1.0, 2.0, 4.0, 5.0, 5.0):
        assert ceiling / 2 <= backoff.next_s() <= ceiling
    for _ in range(2000):
        assert backoff.next_s() <= 5.0
    backoff.reset()
    assert backoff.next_s() <= 0.5


def test_a_wait_is_never_shorter_than_the_exchange_asked_for() -> None:
    assert Backoff(5.0).next_s(60.0) == 60.0


class Silent:
    """A tap for tests that look at the connection alone."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def take(self, url: str, frame: str | bytes) -> bool:
        return False

    def ignored(self, url: str, event: object) -> None:
        self.heard.append(event)

    def poison(self, url: str, error: Exception, raw: object) -> None:
        self.heard.append(error)

    def liquidation(self, url: str, frame: dict[str, Any]) -> None:
        self.heard.append(frame)

    candle = mark_prices = liquidation


async def attempt(fault: str) -> tuple[Exception | None, list[object]]:
    """Open one connection under a fault; the error, and what was heard."""
    async with loopback() as (exchange, clock):
        venue = Venue("binanceusdm", quick(exchange), clock, sets_clock=False)
        tap = venue.exchange.tap = Silent()
        match fault:
            case "rejected":
                exchange.faults.reject_subscribe()
            case "unanswered":
                exchange.faults.half_open()
            case "refused":
                await exchange.faults.refuse_connections()
            case "blocked":
                exchange.faults.http.add(451, path="/market")
            case "limited":
                exchange.faults.http.add(429, path="/market", retry_after_s=7)
        connection = Connection(
            venue.exchange, venue.exchange.get_ws_url("linear", "market") + "/0", ["!forceOrder@arr"]
        )
        try:
            await connection.open(0.5)
        except (LostError, VenueError) as error:
            return error, tap.heard
        else:
            return None, tap.heard
        finally:
            await connection.close()
            await venue.close()
            assert not connection.alive


async def test_an_acknowledged_connection_is_open() -> None:
    assert await attempt("none") == (None, [])


async def test_a_rejected_subscription_is_told_in_the_exchanges_words() -> None:
    error, _ = await attempt("rejected")
    assert isinstance(error, LostError)
    assert "binanceusdm rejected a subscription" in str(error)


async def test_an_unanswered_subscription_is_not_waited_for_forever() -> None:
    error, _ = await attempt("unanswered")
    assert isinstance(error, LostError)
    assert str(error) == "no answer within 0.5 s"


async def test_a_refused_connection_is_lost() -> None:
    error, _ = await attempt("refused")
    assert isinstance(error, LostError)
    assert "Cannot connect" in str(error)


async def test_a_blocked_region_is_final() -> None:
    error, _ = await attempt("blocked")
    assert isinstance(error, VenueError)
    assert "blocked region" in str(error)


async def test_a_handshake_that_is_limited_says_for_how_long() -> None:
    error, _ = await attempt("limited")
    assert isinstance(error, LostError)
    assert error.retry_after_s == 7.0


@pytest.mark.parametrize("moment", [0.0, 0.01, 0.05, 0.2])
async def test_cancelled_at_any_moment_of_opening_nothing_is_left_behind(moment: float) -> None:
    async with loopback() as (exchange, clock):
        exchange.faults.half_open()
        before = asyncio.all_tasks()
        venue = Venue("binanceusdm", quick(exchange), clock, sets_clock=False)
        venue.exchange.tap = Silent()
        connection = Connection(venue.exchange, venue.exchange.get_ws_url("linear", "market") + "/0", ["x"])
        opening = asyncio.create_task(connection.open(5.0))
        await asyncio.wait([opening], timeout=moment)
        opening.cancel()
        await asyncio.wait([opening])
        await connection.close()
        await venue.close()
        assert opening.cancelled()
        left = {task for task in asyncio.all_tasks() - before if "RequestHandler" not in repr(task)}
        assert not left


async def test_a_cancellation_in_the_moment_of_connecting_is_not_forgotten() -> None:
    async with loopback() as (exchange, clock):
        venue = Venue("binanceusdm", quick(exchange), clock, sets_clock=False)
        venue.exchange.tap = Silent()
        connection = Connection(
            venue.exchange, venue.exchange.get_ws_url("linear", "market") + "/0", ["!forceOrder@arr"]
        )
        client = connection._client
        connect = client.create_connection

        async def connect_and_cancel(session: Any) -> Any:
            made = await connect(session)
            opening.cancel()
            return made

        client.create_connection = connect_and_cancel
        opening = asyncio.create_task(connection.open(5.0))
        await asyncio.wait([opening])
        assert opening.cancelled()
        await connection.close()
        await venue.close()
