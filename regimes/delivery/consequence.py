"""What follows from a try, for the delivery: pure."""

from collections.abc import Sequence
from math import ceil

from regimes.delivery.base import Verdict
from regimes.delivery.exchange import Tried
from regimes.delivery.schedule import wait_s
from regimes.storage.base import Attempt, Delivery, DeliveryStatus, Settlement


def consequence(
    delivery: Delivery, tried: Tried, *, waits_s: Sequence[float], jitter: float, now_ms: int
) -> Settlement:
    """Delivered, dead, expired, or pending until the next try.

    Being asked to wait uses up no try: while the receiver answers with a wait, only the expiry ends it. A next try
    that would come after the expiry is not waited for.
    """
    reply = tried.reply
    if reply.verdict is Verdict.DELIVERED:
        return Settlement(status=DeliveryStatus.DELIVERED, provider_message_id=reply.provider_message_id)
    if reply.verdict in {Verdict.PERMANENT, Verdict.PARK}:
        return Settlement(status=DeliveryStatus.DEAD)
    scheduled_s = wait_s(waits_s, delivery.attempt + 1, jitter)
    if scheduled_s is None and reply.hold_s is None:
        return Settlement(status=DeliveryStatus.DEAD)
    next_at_ms = now_ms + after_ms(max(scheduled_s or 0.0, reply.hold_s or 0.0))
    if next_at_ms >= delivery.expires_at_ms:
        return Settlement(status=DeliveryStatus.EXPIRED)
    return Settlement(status=DeliveryStatus.PENDING, next_at_ms=next_at_ms)


def attempt_of(delivery: Delivery, tried: Tried) -> Attempt:
    """The row of `webhook_logs` about a try."""
    return Attempt(
        delivery_id=delivery.id,
        endpoint=delivery.endpoint,
        attempt=delivery.attempt + 1,
        started_ms=tried.began_ms,
        duration_ms=tried.duration_ms,
        outcome=tried.outcome,
        status_code=tried.status_code,
        note=tried.reply.note,
        is_replay=delivery.is_replay,
    )


def after_ms(seconds: float) -> int:
    """Seconds as whole milliseconds, never shorter."""
    return ceil(seconds * 1000)
