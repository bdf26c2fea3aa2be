import asyncio
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from regimes.delivery import signing
from regimes.delivery.breaker import FAILURES_TO_OPEN, FIRST_OPEN_MS, BreakerPhase
from regimes.delivery.settings import DeliverySettings
from regimes.delivery.targets.discord import DiscordTarget
from regimes.errors import ConfigError
from regimes.storage.base import DeliveryStatus, NewDelivery, Outcome, Step
from tests.delivery.harness import (
    DISCORD,
    DISCORD_2,
    SIGNING_TEXT,
    SLACK,
    TELEGRAM,
    Running,
    WatchedStorage,
    nth_event,
    opened,
    running,
)
from tests.delivery.receivers import (
    Behaviour,
    DiscordLike,
    Receiver,
    SlackLike,
    TelegramLike,
    raw_server,
    reset,
    says,
)

D1, D2, H1, H2, T1, S1 = (
    "discord-all-1",
    "discord-all-2",
    "http-all-1",
    "http-all-2",
    "telegram-all-1",
    "slack-all-1",
)


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[WatchedStorage]:
    async with opened(tmp_path) as store:
        yield store


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


async def test_a_torn_connection_is_ambiguous_and_a_closed_port_is_not(storage: WatchedStorage) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}"
        async with (
            raw_server(reset) as port,
            running(storage, {"ALL": f"http://127.0.0.1:{port},{closed}"}) as work,
        ):
            await work.post(H1, nth_event(1))
            await work.post(H2, nth_event(1))
            attempts = await storage.until_settled(4)
    outcomes = {(attempt.endpoint, attempt.outcome) for attempt in attempts}
    assert outcomes == {(H1, Outcome.AMBIGUOUS), (H2, Outcome.RETRY)}


async def test_a_blocked_address_is_its_own_outcome_and_nothing_is_sent(storage: WatchedStorage) -> None:
    async with Receiver().serving() as receiver, running(storage, {"ALL": receiver.base}, allow=()) as work:
        await work.post(H1, nth_event(1))
        (attempt, *_) = await storage.until_settled(1)
    assert attempt.outcome is Outcome.BLOCKED
    assert "127.0.0.1 is not public" in attempt.note
    assert receiver.seen == []


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
        discord.script = [says(429, limited, Retry_After="1", X_RateLimit_Scope="shared")]
        await work.post(D1, nth_event(1))
        seen = await discord.requests(2)
        await storage.until_settled(2)
    assert 0.457 <= seen[1].at_s - seen[0].at_s < 0.95


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


async def test_later_states_of_an_episode_edit_the_message_it_already_has(storage: WatchedStorage) -> None:
    receiver = DiscordLike()
    async with (
        receiver.serving(),
        running(storage, {"ALL": DISCORD}, bases={"discord": receiver.base}) as work,
    ):
        for revision, phase in enumerate(("opened", "updated", "closed")):
            await work.post(D1, nth_event(1, revision=revision, phase=phase, title=f"state {revision}"))
            await storage.until_settled(revision + 1)
    (states,) = receiver.messages.values()
    assert [state["embeds"][0]["title"][2:] for state in states] == ["state 0", "state 1", "state 2"]


async def test_a_state_that_must_ring_again_is_a_message_of_its_own(storage: WatchedStorage) -> None:
    receiver = DiscordLike()
    async with (
        receiver.serving(),
        running(storage, {"ALL": DISCORD}, bases={"discord": receiver.base}) as work,
    ):
        await work.post(D1, nth_event(1))
        await storage.until_settled(1)
        await work.post(D1, nth_event(1, revision=1), may_edit=False)
        await storage.until_settled(2)
        await work.post(D1, nth_event(1, revision=1), may_edit=False, reminder=1)
        await storage.until_settled(3)
        await work.post(D1, nth_event(1, revision=2, phase="closed"))
        await storage.until_settled(4)
    assert [len(states) for states in receiver.messages.values()] == [1, 1, 2]


async def test_a_message_somebody_deleted_is_posted_afresh_in_the_same_try(storage: WatchedStorage) -> None:
    receiver = DiscordLike()
    async with (
        receiver.serving(),
        running(storage, {"ALL": DISCORD}, bases={"discord": receiver.base}) as work,
    ):
        await work.post(D1, nth_event(1))
        await storage.until_settled(1)
        receiver.messages.clear()
        await work.post(D1, nth_event(1, revision=1))
        attempts = await storage.until_settled(2)
    assert attempts[1].outcome is Outcome.DELIVERED
    assert [seen.method for seen in receiver.seen] == ["POST", "PATCH", "POST"]


async def test_a_newer_state_replaces_the_one_that_still_waits(storage: WatchedStorage) -> None:
    async with Receiver().serving() as receiver, running(storage, {"ALL": receiver.base}) as work:
        receiver.script = [says(429, Retry_After="1")]
        first = await work.post(H1, nth_event(1))
        await storage.until_settled(1)
        await work.post(H1, nth_event(1, revision=1))
        await storage.until_settled(2)
        assert (await work.delivery(first.id)).status is DeliveryStatus.SUPERSEDED
    assert [seen.json["revision"] for seen in receiver.seen] == [0, 1]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_an_endpoint_that_is_gone_is_parked_told_once_and_sent_nothing_more(
    storage: WatchedStorage, status: int
) -> None:
    async with Receiver().serving() as receiver, running(storage, {"ALL": receiver.base}) as work:
        receiver.script = [says(status)]
        await work.post(H1, nth_event(1))
        await storage.until_settled(1)
        later = await work.post(H1, nth_event(2))
        attempts = await storage.until_settled(2)
        assert work.office.disabled == [(H1, f"HTTP {status}")]
        assert work.outbox.status()[0].phase is BreakerPhase.PARKED
        assert (await work.delivery(later.id)).status is DeliveryStatus.DEAD
    assert attempts[1].note == f"not sent: endpoint is disabled: HTTP {status}"
    assert len(receiver.seen) == 1


async def test_an_endpoint_that_refuses_many_at_once_is_told_of_once(storage: WatchedStorage) -> None:
    release = asyncio.Event()

    async def gone(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response(status=410)

    async with Receiver().serving() as receiver, running(storage, {"ALL": receiver.base}) as work:
        receiver.script = [gone] * 8
        for number in range(8):
            await work.post(H1, nth_event(number))
        await receiver.requests(8)
        release.set()
        await storage.until_settled(8)
        assert work.office.disabled == [(H1, "HTTP 410")]


async def test_parked_survives_a_restart_until_it_is_enabled_or_its_url_changes(
    storage: WatchedStorage,
) -> None:
    async with Receiver().serving() as receiver:
        async with running(storage, {"ALL": receiver.base}) as work:
            receiver.script = [says(410)]
            first = await work.post(H1, nth_event(1))
            await storage.until_settled(1)
        async with running(storage, {"ALL": receiver.base}) as work:
            await work.post(H1, nth_event(2))
            await storage.until_settled(2)
            assert len(receiver.seen) == 1
            await work.outbox.enable(H1)
            assert await work.outbox.replay(expires_at_ms=first.expires_at_ms) == 2
            attempts = await storage.until_settled(4)
            assert [a.is_replay for a in attempts] == [False, False, True, True]
            receiver.script = [says(410)]
            await work.post(H1, nth_event(3))
            await storage.until_settled(5)
        async with running(storage, {"ALL": receiver.base + "/new"}) as work:
            await work.post(H1, nth_event(4))
            await storage.until_settled(6)
    assert receiver.seen[-1].path == "/new"


async def test_what_an_endpoint_could_not_be_given_goes_to_the_fallback_once(storage: WatchedStorage) -> None:
    async with (
        Receiver().serving() as broken,
        Receiver().serving() as admin,
        running(storage, {"ALL": broken.base, "ADMIN": admin.base}, fallback="http-admin-1") as work,
    ):
        broken.script = [says(404)]
        await work.post(H1, nth_event(1))
        await work.post(H1, nth_event(2))
        await storage.until_settled(4)
        assert work.outbox.counters.diverted[H1] == 2
    assert sorted(seen.json["id"] for seen in admin.seen) == sorted(nth_event(n).id for n in (1, 2))


async def test_a_fallback_that_fails_itself_ends_there(storage: WatchedStorage) -> None:
    async with (
        Receiver().serving() as broken,
        running(
            storage, {"ALL": broken.base, "ADMIN": broken.base + "/admin"}, fallback="http-admin-1"
        ) as work,
    ):
        broken.script = [says(404), says(404)]
        await work.post(H1, nth_event(1))
        attempts = await storage.until_settled(2)
        assert len(await storage.deliveries(event_id=None, status="dead", limit=10)) == 2
    assert len(attempts) == 2


async def test_an_unknown_fallback_stops_the_start(storage: WatchedStorage) -> None:
    with pytest.raises(ConfigError, match=r"delivery\.fallback: no endpoint 'nobody'; there are http-all-1"):
        async with running(storage, {"ALL": "http://127.0.0.1:9"}, fallback="nobody"):
            pass


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
        work.clock.offset_ms += FIRST_OPEN_MS
        work.outbox.wake()
        await storage.until_settled(FAILURES_TO_OPEN + 1)
        assert len(receiver.seen) == FAILURES_TO_OPEN + 1
        work.clock.offset_ms += 2 * FIRST_OPEN_MS
        work.outbox.wake()
        await storage.until_settled(FAILURES_TO_OPEN + 1 + 7)
        assert work.outbox.status()[0].phase is BreakerPhase.CLOSED


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


async def test_the_schedule_ends_in_a_dead_letter_that_a_replay_brings_back(storage: WatchedStorage) -> None:
    async with (
        SlackLike().serving() as slack,
        running(storage, {"ALL": SLACK}, bases={"slack": slack.base}) as work,
    ):
        slack.script = [says(400, b"invalid_blocks")]
        dead = await work.post(S1, nth_event(1))
        await storage.until_settled(1)
        assert (await work.delivery(dead.id)).status is DeliveryStatus.DEAD
        assert await work.outbox.replay(expires_at_ms=dead.expires_at_ms, delivery_id=dead.id) == 1
        attempts = await storage.until_settled(2)
        assert (attempts[1].outcome, attempts[1].is_replay) == (Outcome.DELIVERED, True)


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
        work.clock.offset_ms += 5_000
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


async def test_a_wait_beyond_the_expiry_is_not_waited_for(storage: WatchedStorage) -> None:
    async with Receiver().serving() as receiver, running(storage, {"ALL": receiver.base}) as work:
        receiver.script = [says(429, Retry_After="600")]
        late = await work.post(H1, nth_event(1), settings=DeliverySettings(json_expiry_hours=1 / 60))
        await storage.until_settled(1)
        assert (await work.delivery(late.id)).status is DeliveryStatus.EXPIRED
        hold_ms = work.outbox.status()[0].hold_until_ms
        assert hold_ms is not None
        assert hold_ms > work.clock.now_ms() + 590_000


async def test_a_late_message_says_how_late(storage: WatchedStorage) -> None:
    receiver = DiscordLike()
    async with (
        receiver.serving(),
        running(storage, {"ALL": DISCORD}, bases={"discord": receiver.base}) as work,
    ):
        await work.post(D1, nth_event(1), age_ms=5 * 60_000)
        await work.post(D1, nth_event(2), age_ms=5_000)
        await storage.until_settled(2)
    told = [states[0]["embeds"][0]["description"] for states in receiver.messages.values()]
    assert ["late" in text for text in told] == [True, False]
    assert "Sent 5 min late." in told[0]


async def test_telegram_moves_with_the_group_and_remembers_it_after_a_restart(
    storage: WatchedStorage,
) -> None:
    telegram = TelegramLike(pause_s=0)
    async with telegram.serving():
        telegram.moved["-100"] = -100500
        for number in (1, 2):
            async with running(storage, {"ALL": TELEGRAM}, bases={"telegram": telegram.base}) as work:
                await work.post(T1, nth_event(number))
                await storage.until_settled(number)
    chats = [seen.json["chat_id"] for seen in telegram.seen]
    assert chats == ["-100", "-100500", "-100500"]
    assert [attempt.outcome for attempt in storage.settled] == [Outcome.DELIVERED] * 2


async def test_telegram_gets_plain_text_at_once_where_html_is_not_parsed(storage: WatchedStorage) -> None:
    telegram = TelegramLike()
    telegram.unparsable = True
    async with (
        telegram.serving(),
        running(storage, {"ALL": TELEGRAM}, bases={"telegram": telegram.base}) as work,
    ):
        await work.post(T1, nth_event(1))
        (attempt,) = await storage.until_settled(1)
    assert attempt.outcome is Outcome.DELIVERED
    assert ["parse_mode" in seen.json for seen in telegram.seen] == [True, False]


async def test_telegram_edits_and_an_edit_that_changes_nothing_is_delivered(storage: WatchedStorage) -> None:
    telegram = TelegramLike()
    async with (
        telegram.serving(),
        running(storage, {"ALL": TELEGRAM}, bases={"telegram": telegram.base}) as work,
    ):
        for revision, title in enumerate(("a", "b", "b")):
            await work.post(T1, nth_event(1, revision=revision, title=title))
            await storage.until_settled(revision + 1)
    assert [attempt.outcome for attempt in storage.settled] == [Outcome.DELIVERED] * 3
    assert [seen.path.rsplit("/", 1)[1] for seen in telegram.seen] == [
        "sendMessage",
        "editMessageText",
        "editMessageText",
    ]
    assert telegram.refused == 0


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


async def test_one_hung_endpoint_changes_no_others_latency(storage: WatchedStorage) -> None:
    async def slowest_s(work: Running, receiver: Receiver, numbers: range) -> float:
        worst = 0.0
        for number in numbers:
            began, before = time.monotonic(), len(receiver.seen)
            await work.post(H1, nth_event(number))
            seen = await receiver.requests(before + 1)
            worst = max(worst, seen[-1].at_s - began)
        return worst

    async with (
        Receiver().serving() as healthy,
        Receiver().serving() as hung,
        running(storage, {"ALL": f"{healthy.base},{hung.base}"}, timeout_s=3) as work,
    ):
        await slowest_s(work, healthy, range(3))
        alone_s = await slowest_s(work, healthy, range(10, 30))
        hung.script = [hung.hang] * 100
        for number in range(20):
            await work.post(H2, nth_event(number))
        await hung.requests(8)
        beside_s = await slowest_s(work, healthy, range(40, 60))
        assert len(hung.seen) == 8
    assert beside_s < max(5 * alone_s, 0.25)


async def test_no_more_than_the_workers_of_an_endpoint_are_under_way(storage: WatchedStorage) -> None:
    async with Receiver().serving() as hung, running(storage, {"ALL": hung.base}, timeout_s=1) as work:
        hung.script = [hung.hang] * 8
        for number in range(20):
            await work.post(H1, nth_event(number))
        await hung.requests(8)
        work.outbox.close()
        await storage.until_settled(8)
    assert len(hung.seen) == 8
    assert len(await storage.deliveries(event_id=None, status="pending", limit=100)) == 20


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


async def test_a_stored_message_that_cannot_be_read_is_a_dead_letter_and_stops_nothing(
    storage: WatchedStorage,
) -> None:
    async with Receiver().serving() as receiver, running(storage, {"ALL": receiver.base}) as work:
        whole = await work.post(H1, nth_event(1))
        await storage.until_settled(1)
        fields = {name: getattr(whole, name) for name in NewDelivery.__struct_fields__}
        broken = NewDelivery(
            **(fields | {"id": "broken", "event_id": "evt_x", "collapse_key": "x", "message": b"{"})
        )
        await storage.commit(Step(deliveries=[broken]))
        await work.post(H1, nth_event(2))
        await storage.until_settled(3)
        assert (await work.delivery("broken")).status is DeliveryStatus.DEAD
    assert len(receiver.seen) == 2


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


async def test_a_database_that_goes_away_after_sending_is_waited_for_and_nothing_is_sent_twice(
    storage: WatchedStorage,
) -> None:
    async with Receiver().serving() as receiver, running(storage, {"ALL": receiver.base}) as work:
        storage.away_for = 3
        delivery = await work.post(H1, nth_event(1))
        await storage.until_settled(1)
        assert (await work.delivery(delivery.id)).status is DeliveryStatus.DELIVERED
        assert work.outbox.counters.storage_errors >= 3
    assert len(receiver.seen) == 1


async def test_a_database_that_is_away_at_the_start_is_waited_for(storage: WatchedStorage) -> None:
    async with Receiver().serving() as receiver:
        async with running(storage, {"ALL": receiver.base}) as work:
            receiver.script = [says(410)]
            await work.post(H1, nth_event(1))
            await storage.until_settled(1)
        storage.endpoints_away_for = 1
        async with running(storage, {"ALL": receiver.base}) as work:
            await work.post(H1, nth_event(2))
            await storage.until_settled(2)
            assert work.outbox.status()[0].phase is BreakerPhase.PARKED
    assert len(receiver.seen) == 1


async def test_a_fault_inside_a_target_is_a_retry_and_stops_no_other_endpoint(
    storage: WatchedStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def burst(*_args: object, **_how: object) -> object:
        raise ZeroDivisionError("canary")

    monkeypatch.setattr(DiscordTarget, "request", burst)
    async with (
        Receiver().serving() as receiver,
        running(storage, {"ALL": f"{DISCORD},{receiver.base}"}, bases={"discord": receiver.base}) as work,
    ):
        await work.post(D1, nth_event(1))
        (attempt, *_) = await storage.until_settled(1)
        await work.post(H1, nth_event(1))
        await receiver.requests(1)
    assert attempt.outcome is Outcome.RETRY
    assert attempt.note == "internal error: ZeroDivisionError"
