import asyncio
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from regimes.errors import StorageError
from regimes.storage.base import Delivery, DeliveryStatus, Outcome, Settlement
from regimes.storage.store import Store

from .samples import LEASE_MS, NOW_MS, attempt, delivered, deliveries, delivery, retry

DEAD = Settlement(status=DeliveryStatus.DEAD)


async def claim(storage: Store, at_ms: int = NOW_MS, limit: int = 100) -> list[Delivery]:
    return [*await storage.claim("chat", now_ms=at_ms, lease_ms=LEASE_MS, limit=limit)]


async def ids(storage: Store, at_ms: int = NOW_MS, limit: int = 100) -> list[str]:
    return [d.id for d in await claim(storage, at_ms, limit)]


async def status(storage: Store, delivery_id: str = "d1") -> str:
    return next(
        str(d.status)
        for d in await storage.deliveries(event_id=None, status=None, limit=1_000)
        if d.id == delivery_id
    )


async def replay(storage: Store, delivery_id: str | None = None, since_ms: int | None = None) -> int:
    return await storage.replay(
        now_ms=NOW_MS, delivery_id=delivery_id, since_ms=since_ms, expires_at_ms=NOW_MS + 9_000_000
    )


async def test_due_deliveries_are_claimed_oldest_first_and_once(storage: Store) -> None:
    news = [delivery(f"d{n}", created_ms=NOW_MS - n, next_at_ms=NOW_MS - n) for n in range(5)]
    await storage.commit(deliveries(*news, delivery("later", next_at_ms=NOW_MS + 1)))
    assert await ids(storage, limit=3) == ["d4", "d3", "d2"]
    assert await ids(storage) == ["d1", "d0"]
    assert await ids(storage) == []
    assert await ids(storage, NOW_MS + 1) == ["later"]


async def test_a_claim_tells_all_that_was_stored(storage: Store) -> None:
    new = delivery(reminder=2)
    await storage.commit(deliveries(new))
    (claimed,) = await claim(storage)
    assert all(getattr(claimed, field) == getattr(new, field) for field in new.__struct_fields__)
    assert (claimed.attempt, claimed.lease_until_ms, claimed.is_replay) == (0, NOW_MS + LEASE_MS, False)


async def test_endpoints_do_not_see_each_others_deliveries(storage: Store) -> None:
    await storage.commit(deliveries(delivery("a"), delivery("b", endpoint="mail")))
    assert await ids(storage) == ["a"]
    assert await storage.next_due_ms("mail") == NOW_MS


async def test_claimers_at_the_same_time_never_get_the_same_delivery(storage: Store) -> None:
    await storage.commit(deliveries(*(delivery(f"d{n}") for n in range(120))))
    taken: list[str] = []

    async def work() -> None:
        while got := await ids(storage, limit=7):
            taken.extend(got)

    await asyncio.gather(*(work() for _ in range(6)))
    assert len(taken) == 120
    assert len(set(taken)) == 120


async def test_a_lease_that_ran_out_is_claimable_again(storage: Store) -> None:
    await storage.commit(deliveries(delivery()))
    assert await ids(storage) == ["d1"]
    assert await storage.next_due_ms("chat") == NOW_MS + LEASE_MS
    assert await ids(storage, NOW_MS + LEASE_MS - 1) == []
    assert await ids(storage, NOW_MS + LEASE_MS) == ["d1"]


async def test_a_failed_attempt_is_recorded_and_tried_again_when_due(storage: Store) -> None:
    await storage.commit(deliveries(delivery()))
    await claim(storage)
    await storage.settle(attempt(number=1), retry(NOW_MS + 5_000))
    assert await storage.next_due_ms("chat") == NOW_MS + 5_000
    assert await ids(storage, NOW_MS + 4_999) == []
    (again,) = await claim(storage, NOW_MS + 5_000)
    assert again.attempt == 1
    await storage.settle(attempt(number=2, outcome=Outcome.DELIVERED, status_code=204), delivered("m1"))
    assert await storage.next_due_ms("chat") is None
    assert [(a.attempt, a.outcome, a.status_code) for a in await storage.attempts("d1")] == [
        (1, "retry", 503),
        (2, "delivered", 204),
    ]
    (stored,) = await storage.deliveries(event_id=None, status="delivered", limit=5)
    assert (stored.attempt, stored.lease_until_ms, stored.provider_message_id) == (2, None, "m1")


async def test_settling_the_same_attempt_again_changes_nothing(storage: Store) -> None:
    await storage.commit(deliveries(delivery()))
    await claim(storage)
    await storage.settle(attempt(), retry(NOW_MS + 5_000))
    await claim(storage, NOW_MS + 5_000)
    await storage.settle(attempt(), retry(NOW_MS + 5_000))
    assert await ids(storage, NOW_MS + 5_001) == [], "the second claim's lease still holds"
    assert len(await storage.attempts("d1")) == 1


async def test_a_worker_that_woke_up_late_does_not_undo_what_another_settled(storage: Store) -> None:
    await storage.commit(deliveries(delivery()))
    await claim(storage)
    await claim(storage, NOW_MS + LEASE_MS)
    await storage.settle(attempt(started_ms=NOW_MS + LEASE_MS), DEAD)
    await storage.settle(attempt(started_ms=NOW_MS), retry(NOW_MS))
    assert await status(storage) == "dead"
    assert len(await storage.attempts("d1")) == 2


async def test_delivered_holds_whatever_was_thought_before(storage: Store) -> None:
    await storage.commit(deliveries(delivery()))
    await claim(storage)
    await claim(storage, NOW_MS + LEASE_MS)
    await storage.settle(attempt(started_ms=NOW_MS + LEASE_MS), DEAD)
    await storage.settle(attempt(started_ms=NOW_MS, outcome=Outcome.DELIVERED), delivered())
    assert await status(storage) == "delivered"


async def test_an_attempt_number_must_count_from_one(storage: Store) -> None:
    with pytest.raises(ValueError, match="from 1"):
        await storage.settle(attempt(number=0), delivered())


async def test_what_is_too_late_expires_instead_of_being_sent(storage: Store) -> None:
    await storage.commit(deliveries(delivery("late", expires_at_ms=NOW_MS), delivery("ok")))
    assert await ids(storage) == ["ok"]
    assert await status(storage, "late") == "expired"
    assert await status(storage, "ok") == "pending"


async def test_what_is_being_sent_does_not_expire_meanwhile(storage: Store) -> None:
    await storage.commit(deliveries(delivery(expires_at_ms=NOW_MS + 10)))
    await claim(storage)
    assert await ids(storage, NOW_MS + 20) == []
    assert await status(storage) == "pending"
    assert await ids(storage, NOW_MS + LEASE_MS) == []
    assert await status(storage) == "expired"


async def test_a_newer_state_supersedes_what_waits_for_the_same_endpoint(storage: Store) -> None:
    await storage.commit(deliveries(delivery("old", collapse_key="k"), delivery("other")))
    await storage.commit(deliveries(delivery("mail", collapse_key="k", endpoint="mail")))
    await storage.commit(deliveries(delivery("new", collapse_key="k", created_ms=NOW_MS + 1)))
    assert await status(storage, "old") == "superseded"
    assert await ids(storage) == ["other", "new"]
    assert await storage.next_due_ms("mail") == NOW_MS


async def test_the_last_of_one_step_supersedes_those_before_it(storage: Store) -> None:
    await storage.commit(deliveries(*(delivery(f"d{n}", collapse_key="k") for n in range(3))))
    assert await ids(storage) == ["d2"]


async def test_an_old_step_written_again_does_not_supersede_a_newer_one(storage: Store) -> None:
    old, new = delivery("old", collapse_key="k"), delivery("new", collapse_key="k")
    await storage.commit(deliveries(old))
    await storage.commit(deliveries(new))
    await storage.commit(deliveries(old))
    assert await ids(storage) == ["new"]


async def test_the_next_state_waits_for_the_one_being_sent_and_edits_its_message(storage: Store) -> None:
    first = delivery("first", event_id="evt", collapse_key="k")
    second = delivery("second", event_id="evt", collapse_key="k", revision=1)
    await storage.commit(deliveries(first))
    await claim(storage)
    await storage.commit(deliveries(second))
    assert await ids(storage) == []
    assert await storage.next_due_ms("chat") == NOW_MS + LEASE_MS
    await storage.settle(attempt("first"), delivered("message 7"))
    assert await storage.next_due_ms("chat") == NOW_MS
    (claimed,) = await claim(storage)
    assert (claimed.id, claimed.provider_message_id) == ("second", "message 7")
    assert await status(storage, "first") == "delivered"


async def test_a_superseded_attempt_that_failed_frees_the_way(storage: Store) -> None:
    await storage.commit(deliveries(delivery("first", collapse_key="k")))
    await claim(storage)
    await storage.commit(deliveries(delivery("second", collapse_key="k")))
    await storage.settle(attempt("first"), retry(NOW_MS))
    assert await status(storage, "first") == "superseded"
    assert await ids(storage) == ["second"]


async def test_the_newest_message_of_an_episode_is_the_one_to_edit(storage: Store) -> None:
    for revision in range(3):
        new = delivery(f"d{revision}", event_id="evt", revision=revision, collapse_key="k")
        await storage.commit(deliveries(new))
        (claimed,) = await claim(storage)
        assert claimed.provider_message_id == (f"m{revision - 1}" if revision else None)
        await storage.settle(attempt(claimed.id), delivered(f"m{revision}"))


async def test_one_state_goes_to_an_endpoint_once_whatever_its_id(storage: Store) -> None:
    await storage.commit(deliveries(delivery("a", event_id="evt", collapse_key="k")))
    await storage.commit(deliveries(delivery("b", event_id="evt", collapse_key="k")))
    assert await ids(storage) == ["a"]


async def test_a_reminder_sends_the_same_state_once_more(storage: Store) -> None:
    await storage.commit(deliveries(delivery("a", event_id="evt")))
    await claim(storage)
    await storage.settle(attempt("a"), delivered())
    await storage.commit(deliveries(delivery("b", event_id="evt", reminder=1)))
    assert await ids(storage) == ["b"]


async def test_one_delivery_is_replayed_from_its_first_attempt(storage: Store) -> None:
    await storage.commit(deliveries(delivery()))
    await claim(storage)
    await storage.settle(attempt(), DEAD)
    assert await replay(storage, delivery_id="d1") == 1
    (claimed,) = await claim(storage)
    assert (claimed.attempt, claimed.is_replay, claimed.expires_at_ms) == (0, True, NOW_MS + 9_000_000)
    await storage.settle(attempt(started_ms=NOW_MS + 99, is_replay=True), delivered())
    assert [a.is_replay for a in await storage.attempts("d1")] == [False, True]
    assert await replay(storage, delivery_id="nobody") == 0


async def test_all_dead_deliveries_are_replayed_and_nothing_else(storage: Store) -> None:
    await storage.commit(deliveries(*(delivery(f"d{n}") for n in range(4))))
    await claim(storage)
    for n, settlement in enumerate([DEAD, delivered(), DEAD]):
        await storage.settle(attempt(f"d{n}"), settlement)
    assert await replay(storage) == 2
    assert await ids(storage) == ["d0", "d2"]


async def test_all_since_a_time_are_replayed_but_not_what_was_superseded(storage: Store) -> None:
    news = [delivery(f"d{n}", created_ms=NOW_MS + n) for n in range(4)]
    await storage.commit(deliveries(*news, delivery("old", collapse_key="k", created_ms=NOW_MS + 3)))
    await storage.commit(deliveries(delivery("new", collapse_key="k", created_ms=NOW_MS + 4)))
    claimed = await ids(storage)
    for delivery_id in claimed:
        await storage.settle(attempt(delivery_id), delivered())
    assert await replay(storage, since_ms=NOW_MS + 2) == 3
    assert await ids(storage) == ["d2", "d3", "new"]


async def test_what_waits_for_another_try_at_one_endpoint_is_hurried_and_nothing_else(storage: Store) -> None:
    later_ms = NOW_MS + 3_600_000
    await storage.commit(
        deliveries(
            delivery("tried"),
            delivery("elsewhere", endpoint="mail"),
            delivery("new", next_at_ms=later_ms),
            delivery("over"),
        )
    )
    await storage.claim("chat", now_ms=NOW_MS, lease_ms=LEASE_MS, limit=100)
    await storage.claim("mail", now_ms=NOW_MS, lease_ms=LEASE_MS, limit=100)
    for name in ("tried", "elsewhere"):
        await storage.settle(attempt(delivery_id=name), retry(later_ms))
    await storage.settle(attempt(delivery_id="over"), DEAD)
    assert await storage.hurry("chat", now_ms=NOW_MS + 5) == 1
    assert await ids(storage, NOW_MS + 5) == ["tried"]
    assert await storage.next_due_ms("mail") == later_ms
    assert await storage.hurry("chat", now_ms=NOW_MS + 6) == 0


async def test_what_is_being_sent_is_not_replayed(storage: Store) -> None:
    await storage.commit(deliveries(delivery()))
    await claim(storage)
    assert await replay(storage, delivery_id="d1") == 0
    assert await ids(storage) == []


async def test_deliveries_are_listed_newest_first_by_event_and_status(storage: Store) -> None:
    await storage.commit(deliveries(*(delivery(f"d{n}", created_ms=NOW_MS + n) for n in range(4))))
    assert [d.id for d in await storage.deliveries(event_id=None, status=None, limit=3)] == ["d3", "d2", "d1"]
    assert [d.id for d in await storage.deliveries(event_id="evt_d2", status="pending", limit=3)] == ["d2"]
    assert list(await storage.deliveries(event_id="evt_d2", status="dead", limit=3)) == []


@pytest.mark.parametrize("storage", ["sqlite", "postgres", "failover"], indirect=True)
async def test_settling_a_delivery_that_is_not_there_is_an_error(storage: Store) -> None:
    with pytest.raises(StorageError, match="nobody"):
        await storage.settle(attempt("nobody"), retry(NOW_MS))


@pytest.mark.parametrize("storage", ["sqlite"], indirect=True)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_whatever_happens_each_delivery_ends_and_next_due_tells_when(
    storage: Store, data: st.DataObject
) -> None:
    """Random commits, claims and settlements; next_due_ms is exactly when a claim has something to take."""
    run = uuid4().hex  # a name only: examples share the database
    now = NOW_MS
    for n in range(data.draw(st.integers(1, 8))):
        key = f"{run}{data.draw(st.sampled_from('ab'))}"
        new = delivery(f"{run}{n}", endpoint=run, collapse_key=key, created_ms=now, next_at_ms=now)
        await storage.commit(deliveries(new))
        now += data.draw(st.sampled_from([0, 1, LEASE_MS]))
        for taken in await storage.claim(run, now_ms=now, lease_ms=LEASE_MS, limit=2):
            settlement = data.draw(st.sampled_from([delivered(), DEAD, retry(now + 7), None]))
            if settlement is not None:
                await storage.settle(attempt(taken.id, taken.attempt + 1, started_ms=now), settlement)
    while (due := await storage.next_due_ms(run)) is not None:
        if due > now:
            assert await storage.claim(run, now_ms=due - 1, lease_ms=LEASE_MS, limit=100) == []
        now = max(now, due)
        taken_now = await storage.claim(run, now_ms=now, lease_ms=LEASE_MS, limit=100)
        assert taken_now or await storage.next_due_ms(run) is None
        for taken in taken_now:
            await storage.settle(attempt(taken.id, taken.attempt + 1, started_ms=now), delivered())
