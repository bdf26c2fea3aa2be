"""How long the venue's REST pauses, by what its answers say."""

import asyncio

import pytest
from hypothesis import example, given, strategies as st

from regimes.feeds.budget import Pace, RestBudget, RestPausedError


class Hands:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def budget(hands: Hands, wait_max_s: float = 60.0) -> RestBudget:
    return RestBudget("binanceus", weight_per_minute=1000, wait_max_s=wait_max_s, monotonic=hands)


@pytest.mark.parametrize(
    ("status", "headers", "body", "seconds"),
    [
        (200, {}, "", 0),
        (429, {"Retry-After": "7"}, "", 7),
        (429, {"retry-after": "7"}, "", 7),
        (429, {}, "", 60),
        (429, {"Retry-After": "soon"}, "", 60),
        (429, {"Retry-After": "-5"}, "", 60),
        (429, {"Retry-After": "nan"}, "", 60),
        (418, {"Retry-After": "300"}, "", 300),
        (418, {}, "", 120),
        (418, {}, "IP banned until 1700000500000.", 500),
        (418, {"Retry-After": "30"}, "IP banned until 1700000500000.", 500),
        (418, {"Retry-After": "1e12"}, "", 345_600),
        (503, {"Retry-After": "5"}, "", 5),
        (503, {}, "", 0),
        (400, {"Retry-After": "5"}, "", 0),
        (200, {"X-MBX-USED-WEIGHT-1M": "999"}, "", 0),
        (200, {"x-mbx-used-weight-1m": "1000"}, "", 10),
        (200, {"X-MBX-USED-WEIGHT-1M": "many"}, "", 0),
    ],
)
def test_an_answer_pauses_rest_for_as_long_as_it_asks(
    status: int, headers: dict[str, str], body: str, seconds: float
) -> None:
    rest = budget(Hands())
    rest.answered(status, headers, body, now_ms=1_700_000_000_000)
    assert rest.paused_for_s == pytest.approx(seconds)
    assert rest.pauses == (1 if seconds else 0)


def test_a_shorter_pause_does_not_cut_a_longer_one() -> None:
    rest = budget(Hands())
    rest.answered(418, {"Retry-After": "300"}, "", now_ms=0)
    rest.answered(429, {"Retry-After": "1"}, "", now_ms=0)
    assert rest.paused_for_s == 300


async def test_a_request_waits_for_a_short_pause_and_refuses_a_long_one() -> None:
    hands = Hands()
    rest = budget(hands, wait_max_s=10)
    rest.answered(429, {"Retry-After": "11"}, "", now_ms=0)
    with pytest.raises(RestPausedError, match="binanceus: REST paused by the exchange for another 11 s"):
        await rest.turn()
    hands.now += 10.99
    waiting = asyncio.create_task(rest.turn())
    await asyncio.sleep(0)
    assert not waiting.done()
    hands.now += 1
    await asyncio.wait_for(waiting, 1)


def test_the_weight_others_spend_is_seen() -> None:
    rest = budget(Hands())
    rest.answered(200, {"X-MBX-USED-WEIGHT-1M": "640"}, "", now_ms=0)
    assert rest.used_weight == 640


async def test_a_pace_lets_no_more_turns_into_any_window_than_it_may() -> None:
    hands = Hands()
    pace = Pace(2, 300.0, monotonic=hands)
    await pace.turn()
    hands.now += 299.99
    await pace.turn()
    third = asyncio.create_task(pace.turn())
    await asyncio.sleep(0)
    assert not third.done()
    hands.now += 0.02
    await asyncio.wait_for(third, 1)


async def test_a_pace_says_so_at_once_when_the_next_turn_is_too_far_away() -> None:
    hands = Hands()
    pace = Pace(1, 300.0, monotonic=hands)
    assert await pace.turn(10.0)
    hands.now += 289.0
    assert not await pace.turn(10.0)
    hands.now += 11.0
    assert await pace.turn(10.0)


@example("\u00b9", 200)  # a digit to Unicode, no number to int()
@given(st.text(max_size=12), st.sampled_from([200, 418, 429, 500, 503]))
def test_no_header_breaks_the_reader(text: str, status: int) -> None:
    rest = budget(Hands())
    rest.answered(status, {"Retry-After": text, "X-MBX-USED-WEIGHT-1M": text}, text, now_ms=0)
    assert 0 <= rest.paused_for_s <= 345_600
