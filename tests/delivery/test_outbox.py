import asyncio
import time

import msgspec
from aiohttp import web

from regimes.delivery import signing
from regimes.delivery.settings import DeliverySettings
from regimes.storage.base import DeliveryStatus, Outcome
from tests.delivery.harness import (
    D1,
    DISCORD,
    H1,
    SIGNING_TEXT,
    WatchedStorage,
    nth_event,
    running,
)
from tests.delivery.receivers import (
    DiscordLike,
    Receiver,
    says,
)


async def test_a_committed_event_arrives_signed_and_byte_for_byte(storage: WatchedStorage) -> None:
    body = nth_event(1)
    async with Receiver().serving() as receiver, running(storage, {"ALL": receiver.base + "/hook"}) as work:
        delivery = await work.post(H1, body)
        (attempt,) = await storage.until_settled(1)
    (seen,) = receiver.seen
    assert seen.body == msgspec.json.encode(body)
    assert seen.headers["webhook-id"] == delivery.id
    signing.verify(signing.parse_secrets(SIGNING_TEXT), seen.headers, seen.body, now_s=time.time())
    assert (attempt.outcome, attempt.status_code, attempt.attempt) == (Outcome.DELIVERED, 200, 1)
    assert (await work.delivery(delivery.id)).status is DeliveryStatus.DELIVERED


async def test_a_failure_is_tried_again_with_the_same_id_and_a_delivery_never_twice_after_success(
    storage: WatchedStorage,
) -> None:
    async with Receiver().serving() as receiver, running(storage, {"ALL": receiver.base}) as work:
        receiver.script = [says(500), says(503)]
        await work.post(H1, nth_event(1))
        attempts = await storage.until_settled(3)
    assert [a.outcome for a in attempts] == [Outcome.RETRY, Outcome.RETRY, Outcome.DELIVERED]
    assert len({seen.headers["webhook-id"] for seen in receiver.seen}) == 1
    assert len(receiver.seen) == 3


async def test_no_answer_after_sending_is_ambiguous_and_tried_again(storage: WatchedStorage) -> None:
    async with (
        Receiver().serving() as receiver,
        running(storage, {"ALL": receiver.base}, timeout_s=0.3) as work,
    ):
        receiver.script = [receiver.hang]
        delivery = await work.post(H1, nth_event(1))
        attempts = await storage.until_settled(2)
        assert [a.outcome for a in attempts] == [Outcome.AMBIGUOUS, Outcome.DELIVERED]
        assert attempts[0].note == "timeout: after sending"
        assert attempts[0].duration_ms >= 300
        assert [a.outcome for a in await storage.attempts(delivery.id)] == [
            Outcome.AMBIGUOUS,
            Outcome.DELIVERED,
        ]


async def test_a_newer_state_replaces_the_one_that_still_waits(storage: WatchedStorage) -> None:
    async with Receiver().serving() as receiver, running(storage, {"ALL": receiver.base}) as work:
        receiver.script = [says(429, Retry_After="1")]
        first = await work.post(H1, nth_event(1))
        await storage.until_settled(1)
        await work.post(H1, nth_event(1, revision=1))
        await storage.until_settled(2)
        assert (await work.delivery(first.id)).status is DeliveryStatus.SUPERSEDED
    assert [seen.json["revision"] for seen in receiver.seen] == [0, 1]


async def test_a_replay_keeps_the_id_and_has_a_new_time_and_is_no_edit(storage: WatchedStorage) -> None:
    discord = DiscordLike()
    async with (
        discord.serving(),
        Receiver().serving() as program,
        running(storage, {"ALL": f"{DISCORD},{program.base}"}, bases={"discord": discord.base}) as work,
    ):
        first = await work.post(D1, nth_event(1))
        await work.post(H1, nth_event(1))
        await storage.until_settled(2)
        work.clock.correct(5_000)
        assert await work.outbox.replay(expires_at_ms=first.expires_at_ms, since_ms=0) == 2
        await storage.until_settled(4)
    assert len(discord.messages) == 2
    before, after = (seen.headers for seen in program.seen)
    assert before["webhook-id"] == after["webhook-id"]
    assert int(after["webhook-timestamp"]) - int(before["webhook-timestamp"]) >= 5


async def test_what_came_too_late_expires_and_is_not_sent(storage: WatchedStorage) -> None:
    async with Receiver().serving() as receiver, running(storage, {"ALL": receiver.base}) as work:
        late = await work.post(
            H1, nth_event(1), age_ms=120_000, settings=DeliverySettings(json_expiry_hours=1 / 60)
        )
        await work.post(H1, nth_event(2))
        await storage.until_settled(1)
        assert (await work.delivery(late.id)).status is DeliveryStatus.EXPIRED
    assert [seen.json["id"] for seen in receiver.seen] == [nth_event(2).id]


async def test_closing_finishes_what_is_under_way_and_starts_nothing_more(storage: WatchedStorage) -> None:
    released = asyncio.Event()
    receiver = DiscordLike()
    async with receiver.serving():

        async def slowly(request: web.Request) -> web.StreamResponse:
            await released.wait()
            return await receiver.usual(request)

        receiver.script = [slowly]
        async with running(storage, {"ALL": DISCORD}, bases={"discord": receiver.base}) as work:
            first = await work.post(D1, nth_event(1))
            second = await work.post(D1, nth_event(2))
            await receiver.requests(1)
            work.outbox.close()
            released.set()
        assert (await work.delivery(first.id)).status is DeliveryStatus.DELIVERED
        assert (await work.delivery(second.id)).status is DeliveryStatus.PENDING
        async with running(storage, {"ALL": DISCORD}, bases={"discord": receiver.base}):
            await storage.until_settled(2)
    assert len(receiver.messages) == 2


async def test_counters_tell_outcomes_and_ends_by_endpoint(storage: WatchedStorage) -> None:
    async with Receiver().serving() as receiver, running(storage, {"ALL": receiver.base}) as work:
        receiver.script = [says(500)]
        await work.post(H1, nth_event(1))
        await storage.until_settled(2)
        work.outbox.close()
        counters = work.outbox.counters
    assert counters.tries[H1, Outcome.RETRY] == 1
    assert counters.tries[H1, Outcome.DELIVERED] == 1
    assert counters.ended[H1, DeliveryStatus.DELIVERED] == 1
    assert counters.tries[H1, Outcome.AMBIGUOUS] == 0
    assert counters.seconds[H1] > 0
