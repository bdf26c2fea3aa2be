from typing import Any

import pytest
from hypothesis import given, strategies as st

from regimes.delivery.schedule import (
    CHAT_WAITS_S,
    JSON_WAITS_S,
    LONGEST_HOLD_S,
    capped_hold_s,
    retry_after_s,
    wait_s,
)


def test_the_schedules_are_the_promised_ones() -> None:
    assert CHAT_WAITS_S == (0, 5, 15, 60, 300, 900)
    assert JSON_WAITS_S == (0, 5, 30, 120, 600, 1800, 7200, 21600, 86400)


@pytest.mark.parametrize("waits", [CHAT_WAITS_S, JSON_WAITS_S])
@given(tries=st.integers(0, 20), jitter=st.floats(0, 1))
def test_a_wait_lies_between_nothing_and_the_scheduled_one_and_ends_with_the_schedule(
    waits: tuple[int, ...], tries: int, jitter: float
) -> None:
    wait = wait_s(waits, tries, jitter)
    if tries < len(waits):
        assert wait is not None
        assert 0 <= wait <= waits[tries]
    else:
        assert wait is None


def test_the_jitter_is_full() -> None:
    assert [wait_s(CHAT_WAITS_S, 3, jitter) for jitter in (0.0, 0.5, 1.0)] == [0, 30, 60]


def test_every_vector_of_retry_after_is_read(vectors: dict[str, Any]) -> None:
    for case in vectors["retry_after"]:
        if "epoch" in case:
            assert retry_after_s(case["header"], now_s=case["epoch"] - 90) == 90
            assert retry_after_s(case["header"], now_s=case["epoch"] + 90) == 0
        else:
            assert retry_after_s(case["header"], now_s=0) == case["seconds"]


@pytest.mark.parametrize("header", [None, "", "-5", "nan", "inf", "Wed, 99 Foo 2015", "5 minutes"])
def test_what_is_neither_seconds_nor_a_date_says_nothing(header: str | None) -> None:
    assert retry_after_s(header, now_s=0) is None


@given(st.text(max_size=60))
def test_no_header_whatsoever_raises(header: str) -> None:
    wait = retry_after_s(header, now_s=0)
    assert wait is None or wait >= 0


def test_a_hold_is_capped_at_an_hour() -> None:
    assert capped_hold_s(7200) == LONGEST_HOLD_S == 3600
    assert capped_hold_s(64.57) == 64.57
