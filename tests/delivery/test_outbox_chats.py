from regimes.storage.base import Outcome
from tests.delivery.harness import (
    D1,
    DISCORD,
    T1,
    TELEGRAM,
    WatchedStorage,
    nth_event,
    running,
)
from tests.delivery.receivers import (
    DiscordLike,
    TelegramLike,
)


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
