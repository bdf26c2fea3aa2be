import pytest

from regimes.delivery.base import Reply, Verdict
from regimes.delivery.breaker import BreakerPhase
from regimes.delivery.exchange import Tried
from regimes.delivery.state import EndpointState, enabled, held, is_worth_storing, learned, restored
from regimes.storage.base import Outcome

FRESH = EndpointState(fingerprint="f")


def tried(reply: Reply, status_code: int | None = 500) -> Tried:
    return Tried(outcome=Outcome.RETRY, reply=reply, status_code=status_code, memory=dict(reply.memory))


def test_what_was_stored_is_taken_up_by_the_same_receiver_alone() -> None:
    state = EndpointState(fingerprint="f", hold_until_ms=9, memory={"chat_id": "-7"})
    assert restored(state.encode(), "f") == state
    assert restored(state.encode(), "other") == EndpointState(fingerprint="other")
    assert restored(None, "f") == FRESH


@pytest.mark.parametrize("stored", [b"", b"{}", b"[]", b"\xff", b'{"fingerprint": 3}'])
def test_a_state_that_cannot_be_read_begins_afresh(stored: bytes) -> None:
    assert restored(stored, "f") == FRESH


def test_being_asked_to_wait_is_no_failure() -> None:
    after = learned(FRESH, tried(Reply(verdict=Verdict.RETRY, hold_s=2)), now_ms=1_000)
    assert after.hold_until_ms == 3_000
    assert after.breaker == FRESH.breaker
    assert learned(FRESH, tried(Reply(verdict=Verdict.RETRY)), now_ms=1_000).breaker.failures == 1


def test_a_message_that_was_never_sent_says_nothing_of_its_endpoint() -> None:
    failing = learned(FRESH, tried(Reply(verdict=Verdict.RETRY)), now_ms=0)
    never = tried(Reply(verdict=Verdict.PERMANENT), status_code=None)
    refused = tried(Reply(verdict=Verdict.PERMANENT), status_code=400)
    assert learned(failing, never, now_ms=0).breaker == failing.breaker
    assert learned(failing, refused, now_ms=0).breaker == FRESH.breaker


def test_enabling_forgets_failures_and_holds_but_not_what_the_target_taught() -> None:
    parked = held(
        learned(FRESH, tried(Reply(verdict=Verdict.PARK, memory={"chat_id": "-7"})), now_ms=7), 90_000
    )
    again = enabled(parked, 50)
    assert again == EndpointState(fingerprint="f", memory={"chat_id": "-7"}, enabled_ms=50)
    assert enabled(again, 40).enabled_ms > again.enabled_ms


def test_a_longer_hold_outlives_a_shorter_one() -> None:
    assert held(held(FRESH, 9_000), 4_000).hold_until_ms == 9_000


def test_parking_keeps_the_reason() -> None:
    after = learned(FRESH, tried(Reply(verdict=Verdict.PARK, note="HTTP 404")), now_ms=7)
    assert after.breaker.phase(8) is BreakerPhase.PARKED
    assert after.breaker.parked_reason == "HTTP 404"


def test_only_what_a_restart_should_know_is_stored() -> None:
    assert not is_worth_storing(FRESH, FRESH, 0)
    assert not is_worth_storing(FRESH, held(FRESH, 1_000), 0)
    assert is_worth_storing(FRESH, held(FRESH, 60_000), 0)
    assert not is_worth_storing(held(FRESH, 60_000), held(FRESH, 60_000), 0)
    assert is_worth_storing(
        FRESH, learned(FRESH, tried(Reply(verdict=Verdict.AGAIN, memory={"a": "b"})), 0), 0
    )
