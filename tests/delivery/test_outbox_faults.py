import asyncio
import socket
from pathlib import Path

import pytest
from aiohttp import web

from regimes.delivery.breaker import BreakerPhase
from regimes.delivery.state import enabled, restored
from regimes.delivery.targets.discord import DiscordTarget
from regimes.errors import ConfigError
from regimes.storage.base import DeliveryStatus, NewDelivery, Outcome, Step
from tests.delivery.harness import (
    D1,
    DISCORD,
    H1,
    H2,
    S1,
    SLACK,
    WatchedStorage,
    nth_event,
    opened,
    running,
)
from tests.delivery.receivers import (
    Receiver,
    SlackLike,
    raw_server,
    reset,
    says,
)


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


async def test_what_another_process_enables_and_replays_is_sent_within_seconds(
    tmp_path: Path, storage: WatchedStorage
) -> None:
    async with Receiver().serving() as receiver, running(storage, {"ALL": receiver.base}) as work:
        receiver.script = [says(410)]
        first = await work.post(H1, nth_event(1))
        await storage.until_settled(1)
        async with opened(tmp_path) as other:
            state = restored((await other.endpoints())[H1], work.endpoints[H1].fingerprint)
            assert state.breaker.parked_reason == "HTTP 410"
            await other.put_endpoint(H1, enabled(state, work.clock.now_ms()).encode())
            async with asyncio.timeout(5):
                while work.outbox.status()[0].phase is not BreakerPhase.CLOSED:  # noqa: ASYNC110  # the state of a worker has no event
                    await asyncio.sleep(0.01)
            replayed = await other.replay(
                now_ms=work.clock.now_ms(),
                delivery_id=first.id,
                since_ms=None,
                expires_at_ms=first.expires_at_ms,
            )
        assert replayed == 1
        await storage.until_settled(2, within_s=6)
        assert (await work.delivery(first.id)).status is DeliveryStatus.DELIVERED


async def test_what_an_endpoint_could_not_be_given_goes_to_the_fallback_once(storage: WatchedStorage) -> None:
    async with (
        Receiver().serving() as broken,
        Receiver().serving() as admin,
        running(storage, {"ALL": broken.base, "ADMIN": admin.base}, fallback="http-admin-1") as work,
    ):
        broken.script = [says(404), says(404)]
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
