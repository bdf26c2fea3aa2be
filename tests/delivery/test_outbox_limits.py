import pytest

from regimes.delivery.breaker import FAILURES_TO_OPEN, FIRST_OPEN_MS, BreakerPhase
from regimes.delivery.settings import DeliverySettings
from regimes.storage.base import DeliveryStatus
from tests.delivery.harness import (
    D1,
    D2,
    DISCORD,
    DISCORD_2,
    H1,
    H2,
    S1,
    SLACK,
    T1,
    TELEGRAM,
    WatchedStorage,
    nth_event,
    running,
)
from tests.delivery.receivers import (
    Behaviour,
    DiscordLike,
    Receiver,
    SlackLike,
    TelegramLike,
    says,
)


async def test_retry_after_holds_the_whole_endpoint_at_least_as_long_as_asked(
    storage: WatchedStorage,
) -> None:
    async with Receiver().serving() as receiver, running(storage, {"ALL": receiver.base}) as work:
        receiver.script = [says(429, Retry_After="1")]
        await work.post(H1, nth_event(1))
        await storage.until_settled(1)
        for number in range(2, 6):
            await work.post(H1, nth_event(number))
        seen = await receiver.requests(6)
        await storage.until_settled(6)
    assert seen[1].at_s - seen[0].at_s >= 1.0


async def test_discords_decimals_are_waited_for_to_the_millisecond_and_not_much_longer(
    storage: WatchedStorage,
) -> None:
    async with (
        DiscordLike().serving() as discord,
        running(storage, {"ALL": DISCORD}, bases={"discord": discord.base}) as work,
    ):
        limited = {"message": "You are being rate limited.", "retry_after": 0.457, "global": False}
        discord.script = [says(429, limited, Retry_After="20", X_RateLimit_Scope="shared")]
        await work.post(D1, nth_event(1))
        seen = await discord.requests(2)
        await storage.until_settled(2)
    assert 0.457 <= seen[1].at_s - seen[0].at_s < 15


@pytest.mark.parametrize(
    "limited",
    [
        says(429, {"retry_after": 0.6, "global": True}, X_RateLimit_Scope="global"),
        says(429, b"<html>error code: 1015</html>", Retry_After="1"),
    ],
    ids=["global", "not JSON"],
)
async def test_a_block_of_this_address_holds_every_discord_endpoint_and_no_other_kind(
    storage: WatchedStorage, limited: Behaviour
) -> None:
    async with (
        DiscordLike().serving() as discord,
        Receiver().serving() as other,
        running(
            storage, {"ALL": f"{DISCORD},{DISCORD_2},{other.base}"}, bases={"discord": discord.base}
        ) as work,
    ):
        discord.script = [limited]
        await work.post(D1, nth_event(1))
        await storage.until_settled(1)
        await work.post(D2, nth_event(1))
        await work.post(H1, nth_event(1))
        await other.requests(1)
        assert len(discord.seen) == 1
        seen = await discord.requests(3)
        await storage.until_settled(4)
    assert min(later.at_s for later in seen[1:]) - seen[0].at_s >= 0.6


async def test_an_empty_bucket_is_waited_out_so_that_discord_never_refuses(storage: WatchedStorage) -> None:
    discord = DiscordLike(limit=3, window_s=0.5)
    async with (
        discord.serving(),
        running(storage, {"ALL": DISCORD}, bases={"discord": discord.base}) as work,
    ):
        for number in range(7):
            await work.post(D1, nth_event(number))
        await storage.until_settled(7)
    assert discord.refused == 0
    assert len(discord.messages) == 7


async def test_the_breaker_opens_after_failures_in_a_row_lets_one_probe_through_and_closes(
    storage: WatchedStorage,
) -> None:
    async with Receiver().serving() as receiver, running(storage, {"ALL": receiver.base}) as work:
        receiver.script = [says(500)] * FAILURES_TO_OPEN
        await work.post(H1, nth_event(1))
        await storage.until_settled(FAILURES_TO_OPEN)
        assert work.outbox.status()[0].phase is BreakerPhase.OPEN
        for number in range(2, 8):
            await work.post(H1, nth_event(number))
        assert len(receiver.seen) == FAILURES_TO_OPEN
        receiver.script = [says(500)]
        work.clock.correct(FIRST_OPEN_MS)
        work.outbox.wake()
        await storage.until_settled(FAILURES_TO_OPEN + 1)
        assert len(receiver.seen) == FAILURES_TO_OPEN + 1
        work.clock.correct(2 * FIRST_OPEN_MS)
        work.outbox.wake()
        await storage.until_settled(FAILURES_TO_OPEN + 1 + 7)
        assert work.outbox.status()[0].phase is BreakerPhase.CLOSED


@pytest.mark.parametrize("enabled", [False, True])
async def test_what_was_put_off_is_sent_once_an_endpoint_is_back_or_a_person_enables_it(
    storage: WatchedStorage, *, enabled: bool
) -> None:
    waits = iter([0.0] * (FAILURES_TO_OPEN - 1))
    async with (
        Receiver().serving() as receiver,
        running(storage, {"ALL": receiver.base}, jitter=lambda: next(waits, 1.0)) as work,
    ):
        receiver.script = [says(500)] * FAILURES_TO_OPEN
        put_off = await work.post(H1, nth_event(1))
        await storage.until_settled(FAILURES_TO_OPEN)
        work.clock.correct(FIRST_OPEN_MS)
        assert (await work.delivery(put_off.id)).next_at_ms > work.clock.now_ms() + 60_000
        if enabled:
            await work.outbox.enable(H1)
        else:
            await work.post(H1, nth_event(2))
        await storage.until_settled(FAILURES_TO_OPEN + 2 - enabled)
        assert (await work.delivery(put_off.id)).status is DeliveryStatus.DELIVERED


async def test_an_open_breaker_is_still_open_after_a_restart(storage: WatchedStorage) -> None:
    async with Receiver().serving() as receiver:
        receiver.script = [says(500)] * FAILURES_TO_OPEN
        async with running(storage, {"ALL": receiver.base}) as work:
            await work.post(H1, nth_event(1))
            await storage.until_settled(FAILURES_TO_OPEN)
        async with running(storage, {"ALL": receiver.base}) as work:
            await work.post(H1, nth_event(2))
            assert work.outbox.status()[0].phase is BreakerPhase.OPEN
            assert len(receiver.seen) == FAILURES_TO_OPEN
            await work.outbox.enable(H1)
            await storage.until_settled(FAILURES_TO_OPEN + 2)


async def test_a_wait_beyond_the_expiry_is_not_waited_for(storage: WatchedStorage) -> None:
    async with Receiver().serving() as receiver, running(storage, {"ALL": receiver.base}) as work:
        receiver.script = [says(429, Retry_After="600")]
        late = await work.post(H1, nth_event(1), settings=DeliverySettings(json_expiry_hours=1 / 60))
        await storage.until_settled(1)
        assert (await work.delivery(late.id)).status is DeliveryStatus.EXPIRED
        hold_ms = work.outbox.status()[0].hold_until_ms
        assert hold_ms is not None
        assert hold_ms > work.clock.now_ms() + 590_000


async def test_chats_are_sent_to_no_faster_than_they_allow(storage: WatchedStorage) -> None:
    telegram, slack = TelegramLike(), SlackLike()
    async with telegram.serving(), slack.serving():
        urls = {"ALL": f"{TELEGRAM},{SLACK}", "ADMIN": TELEGRAM + "&message_thread_id=4"}
        async with running(storage, urls, bases={"telegram": telegram.base, "slack": slack.base}) as work:
            for number in range(2):
                for name in (T1, S1, "telegram-admin-1"):
                    await work.post(name, nth_event(number))
            await storage.until_settled(6)
    assert (telegram.refused, slack.refused) == (0, 0)


async def test_nothing_for_others_waits_for_a_hung_endpoint(storage: WatchedStorage) -> None:
    async with (
        Receiver().serving() as healthy,
        Receiver().serving() as hung,
        running(storage, {"ALL": f"{healthy.base},{hung.base}"}, timeout_s=60) as work,
    ):
        hung.script = [hung.hang] * 100
        for number in range(20):
            await work.post(H2, nth_event(number))
        await hung.requests(8)
        for number in range(20):
            await work.post(H1, nth_event(40 + number))
            await healthy.requests(number + 1)
        # None of the eight has been given up yet, so none was waited for.
        assert len(hung.seen) == 8
        hung.let_go()


async def test_no_more_than_the_workers_of_an_endpoint_are_under_way(storage: WatchedStorage) -> None:
    async with Receiver().serving() as hung, running(storage, {"ALL": hung.base}, timeout_s=5) as work:
        hung.script = [hung.hang] * 8
        for number in range(20):
            await work.post(H1, nth_event(number))
        await hung.requests(8)
        work.outbox.close()
        await storage.until_settled(8)
    assert len(hung.seen) == 8
    assert len(await storage.deliveries(event_id=None, status="pending", limit=100)) == 20
