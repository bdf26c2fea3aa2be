"""One try of one delivery: ask the target, send, let the target judge, once again where it wants that."""

from collections.abc import Mapping

import msgspec

from regimes.alerting.message import Parcel
from regimes.clock import Clock
from regimes.delivery.base import Failure, Reply, Target, Transport, TransportError, Verdict
from regimes.storage.base import Outcome

_OUTCOMES = {
    Verdict.DELIVERED: Outcome.DELIVERED,
    Verdict.RETRY: Outcome.RETRY,
    Verdict.AGAIN: Outcome.RETRY,
    Verdict.PERMANENT: Outcome.PERMANENT,
    Verdict.PARK: Outcome.PERMANENT,
}


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """How a try ended.

    reply: the target's reading; for no answer at all, RETRY in our own words. memory: what the target asked to
    remember on the way. began_ms: of the clock; duration_ms: real time.
    """

    outcome: Outcome
    reply: Reply
    status_code: int | None = None
    memory: Mapping[str, str] = {}
    began_ms: int = 0
    duration_ms: int = 0


async def exchange(
    target: Target,
    transport: Transport,
    parcel: Parcel,
    clock: Clock,
    *,
    edit: str | None,
    memory: Mapping[str, str],
) -> Tried:
    """Send one message; at most two requests, the second only because the target asked for it."""
    began_ms, began_s = clock.now_ms(), clock.monotonic()
    known = dict(memory)
    learned: dict[str, str] = {}
    tried = await _once(target, transport, parcel, clock, edit, known)
    learned |= tried.reply.memory
    if tried.reply.verdict is Verdict.AGAIN:
        known |= {**tried.reply.memory, **tried.reply.once}
        tried = await _once(target, transport, parcel, clock, edit, known)
        learned |= tried.reply.memory
    duration_ms = round((clock.monotonic() - began_s) * 1000)
    return msgspec.structs.replace(tried, memory=learned, began_ms=began_ms, duration_ms=duration_ms)


async def _once(
    target: Target,
    transport: Transport,
    parcel: Parcel,
    clock: Clock,
    edit: str | None,
    memory: Mapping[str, str],
) -> Tried:
    request = target.request(
        parcel.message, bytes(parcel.event), edit=edit, memory=memory, now_s=clock.now_ms() // 1000
    )
    try:
        response = await transport.send(request)
    except TransportError as error:
        return Tried(outcome=_outcome(error), reply=Reply(verdict=Verdict.RETRY, note=str(error)))
    reply = target.reply(response, now_s=clock.now_ms() / 1000)
    return Tried(outcome=_OUTCOMES[reply.verdict], reply=reply, status_code=response.status)


def _outcome(error: TransportError) -> Outcome:
    if error.failure is Failure.BLOCKED:
        return Outcome.BLOCKED
    return Outcome.AMBIGUOUS if error.sent else Outcome.RETRY
