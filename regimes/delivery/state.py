"""What is known of an endpoint beyond its configuration, stored so that a restart knows it too."""

from collections.abc import Mapping
from typing import Final

import msgspec

from regimes.delivery.base import Verdict
from regimes.delivery.breaker import Breaker
from regimes.delivery.consequence import after_ms
from regimes.delivery.exchange import Tried

_SHORTEST_STORED_HOLD_MS: Final = 2_000


class EndpointState(msgspec.Struct, frozen=True, kw_only=True):
    """fingerprint: of the receiver it was learned about. hold_until_ms: real time before which nothing is sent.

    memory: what the target asked to remember. enabled_ms: when a person last asked to start anew with it.
    """

    fingerprint: str
    breaker: Breaker = Breaker()
    hold_until_ms: int = 0
    memory: Mapping[str, str] = {}
    enabled_ms: int = 0

    def encode(self) -> bytes:
        """As it is stored."""
        return msgspec.json.encode(self)


def restored(stored: bytes | None, fingerprint: str) -> EndpointState:
    """The stored state; a fresh one when there is none, or it is about another receiver or of another version."""
    if stored is not None:
        try:
            state = msgspec.json.decode(stored, type=EndpointState)
        except msgspec.DecodeError:
            return EndpointState(fingerprint=fingerprint)
        if state.fingerprint == fingerprint:
            return state
    return EndpointState(fingerprint=fingerprint)


def enabled(state: EndpointState, now_ms: int) -> EndpointState:
    """The state after a person asked to send again: no breaker, no hold; what the target asked to remember stays."""
    return EndpointState(
        fingerprint=state.fingerprint, memory=state.memory, enabled_ms=max(now_ms, state.enabled_ms + 1)
    )


def held(state: EndpointState, until_ms: int) -> EndpointState:
    """The state with nothing sent before a time; an earlier, longer hold stays."""
    return msgspec.structs.replace(state, hold_until_ms=max(state.hold_until_ms, until_ms))


def learned(state: EndpointState, tried: Tried, now_ms: int) -> EndpointState:
    """What a try tells of its endpoint: breaker, hold and memory."""
    hold_s = tried.reply.hold_s
    kept = state if hold_s is None else held(state, now_ms + after_ms(hold_s))
    return msgspec.structs.replace(
        kept, breaker=_breaker_after(state.breaker, tried, now_ms), memory={**state.memory, **tried.memory}
    )


def is_worth_storing(before: EndpointState, after: EndpointState, now_ms: int) -> bool:
    """Whether a restart should know the difference; a hold of a moment is over by then."""
    is_held_longer = after.hold_until_ms > before.hold_until_ms
    is_long = after.hold_until_ms - now_ms >= _SHORTEST_STORED_HOLD_MS
    return after.breaker != before.breaker or after.memory != before.memory or (is_held_longer and is_long)


def _breaker_after(breaker: Breaker, tried: Tried, now_ms: int) -> Breaker:
    """Being asked to wait is no failure, and a message that was never sent says nothing."""
    verdict = tried.reply.verdict
    if verdict is Verdict.PARK:
        return breaker.parked(now_ms, tried.reply.note)
    if verdict is Verdict.DELIVERED or (verdict is Verdict.PERMANENT and tried.status_code is not None):
        return breaker.succeeded()
    is_failure = verdict in {Verdict.RETRY, Verdict.AGAIN} and tried.reply.hold_s is None
    return breaker.failed(now_ms) if is_failure else breaker
