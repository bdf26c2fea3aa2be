from typing import Any

import pytest
from hypothesis import given, strategies as st

from regimes.delivery.base import Reply, Verdict
from regimes.delivery.consequence import after_ms, consequence
from regimes.delivery.exchange import Tried
from regimes.delivery.schedule import CHAT_WAITS_S
from regimes.storage.base import Delivery, DeliveryStatus, Outcome

NOW_MS, HOUR_MS = 1_700_000_000_000, 3_600_000


def tried(verdict: Verdict, **how: Any) -> Tried:
    return Tried(outcome=Outcome.RETRY, reply=Reply(verdict=verdict, **how))


def delivery(attempt: int = 0, expires_in_ms: int = HOUR_MS) -> Delivery:
    return Delivery(
        id="d",
        event_id="e",
        revision=0,
        endpoint="http-all-1",
        collapse_key="e",
        created_ms=NOW_MS,
        next_at_ms=NOW_MS,
        expires_at_ms=NOW_MS + expires_in_ms,
        message=b"",
        status=DeliveryStatus.PENDING,
        attempt=attempt,
    )


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (Verdict.DELIVERED, DeliveryStatus.DELIVERED),
        (Verdict.RETRY, DeliveryStatus.PENDING),
        (Verdict.AGAIN, DeliveryStatus.PENDING),
        (Verdict.PERMANENT, DeliveryStatus.DEAD),
        (Verdict.PARK, DeliveryStatus.DEAD),
    ],
)
def test_each_verdict_has_its_consequence(verdict: Verdict, status: DeliveryStatus) -> None:
    found = consequence(delivery(), tried(verdict), waits_s=CHAT_WAITS_S, jitter=0.5, now_ms=NOW_MS)
    assert found.status is status


@pytest.mark.parametrize(("tries", "wait_s"), [(1, 5), (2, 15), (3, 60), (4, 300), (5, 900)])
def test_the_wait_after_each_try_is_the_scheduled_one(tries: int, wait_s: int) -> None:
    found = consequence(
        delivery(attempt=tries - 1), tried(Verdict.RETRY), waits_s=CHAT_WAITS_S, jitter=1.0, now_ms=NOW_MS
    )
    assert found.next_at_ms == NOW_MS + wait_s * 1000


def test_the_last_try_of_the_schedule_ends_it_unless_the_receiver_asked_to_wait() -> None:
    last = delivery(attempt=len(CHAT_WAITS_S) - 1)
    failed = consequence(last, tried(Verdict.RETRY), waits_s=CHAT_WAITS_S, jitter=1.0, now_ms=NOW_MS)
    asked = consequence(
        last, tried(Verdict.RETRY, hold_s=2.5), waits_s=CHAT_WAITS_S, jitter=1.0, now_ms=NOW_MS
    )
    assert failed.status is DeliveryStatus.DEAD
    assert (asked.status, asked.next_at_ms) == (DeliveryStatus.PENDING, NOW_MS + 2500)


@given(st.integers(0, 8), st.floats(0, 1), st.floats(0, 3600))
def test_nothing_is_tried_before_what_the_receiver_asked_for(
    attempt: int, jitter: float, hold_s: float
) -> None:
    found = consequence(
        delivery(attempt, expires_in_ms=24 * HOUR_MS),
        tried(Verdict.RETRY, hold_s=hold_s),
        waits_s=CHAT_WAITS_S,
        jitter=jitter,
        now_ms=NOW_MS,
    )
    assert found.next_at_ms is not None
    assert found.next_at_ms - NOW_MS >= hold_s * 1000


def test_a_next_try_at_or_after_the_expiry_is_not_waited_for() -> None:
    def status(expires_in_ms: int) -> DeliveryStatus:
        return consequence(
            delivery(expires_in_ms=expires_in_ms),
            tried(Verdict.RETRY),
            waits_s=CHAT_WAITS_S,
            jitter=1.0,
            now_ms=NOW_MS,
        ).status

    assert status(5_000) is DeliveryStatus.EXPIRED
    assert status(5_001) is DeliveryStatus.PENDING


@given(st.floats(0, 10_000))
def test_milliseconds_are_never_fewer_than_the_seconds(seconds: float) -> None:
    assert after_ms(seconds) >= seconds * 1000
