"""Flapping and market-wide bursts, through the real engine, policy, storage and outbox to the receiver."""

from pathlib import Path

from regimes.alerting.system import SystemWatch, Trouble
from regimes.events import EventType, Severity
from regimes.features.liquidation_cascade import CascadeSettings
from tests.chaos.house import house
from tests.delivery.harness import D1, DISCORD, opened
from tests.delivery.receivers import DiscordLike, Receiver

FLAPS = 100
FLAP_S = 6.0
NERVOUS = CascadeSettings(intensity_minutes=1, calm_minutes=0, calm_fraction=0.9)
"""An episode ends a minute after its last liquidation, and the next may begin at once."""
ALONE = CascadeSettings(market_multiple=1e6)
"""Nothing is said of the market as a whole."""


async def test_a_cascade_that_flaps_a_hundred_times_in_ten_minutes_rings_at_most_twice(
    tmp_path: Path,
) -> None:
    receiver = DiscordLike()
    async with (
        opened(tmp_path) as storage,
        receiver.serving(),
        house(
            ["BTC/USDT"],
            storage,
            {"ALL": DISCORD},
            bases={"discord": receiver.base},
            settings={"liquidation": NERVOUS},
        ) as home,
    ):
        for flap in range(FLAPS):
            if flap % 15 < 2:
                home.step([home.liquidated("BTC/USDT", 900_000.0 + flap)])
            await home.passes(FLAP_S)
        decisions = [d for event in {e.id for e in home.events} for d in await storage.decisions(event)]
        sent = [d for d in decisions if d.action == "send" and d.endpoint == D1]
        await receiver.requests(len(sent))
    ours = [event for event in home.events if event.symbol == "BTC/USDT"]
    assert len({event.id for event in ours}) >= 3, "it did not flap"
    about_btc = [
        states for states in receiver.messages.values() if "BTC/USDT" in states[0]["embeds"][0]["title"]
    ]
    assert 1 <= len(about_btc) <= 2


async def test_trouble_that_comes_and_goes_a_hundred_times_in_ten_minutes_rings_at_most_twice(
    tmp_path: Path,
) -> None:
    receiver = DiscordLike()
    watch = SystemWatch()
    full = Trouble(
        severity=Severity.CRITICAL, title="Disk nearly full", description="Free some.", why="1 MB free"
    )
    async with (
        opened(tmp_path) as storage,
        receiver.serving(),
        house(["BTC/USDT"], storage, {"ADMIN": DISCORD}, bases={"discord": receiver.base}) as home,
    ):
        for _ in range(FLAPS):
            for trouble in (full, None):
                events = watch.report(EventType.SYSTEM_DISK_LOW, "disk", trouble, home.now_ms)
                home.desk.take(events, home.now_ms)
                await home.passes(FLAP_S / 2)
        await receiver.requests(1)
        pages = await storage.deliveries(event_id=None, status=None, limit=1000)
    assert len({page.event_id for page in pages}) <= 2
    assert 1 <= len(receiver.messages) <= 2


async def test_a_burst_of_200_symbols_is_one_summary_within_30_seconds_that_names_the_worst(
    tmp_path: Path,
) -> None:
    symbols = [f"C{number}/USDT" for number in range(200)]
    receiver = Receiver()
    async with (
        opened(tmp_path) as storage,
        receiver.serving(),
        house(symbols, storage, {"ALL": receiver.base + "/hook"}, settings={"liquidation": ALONE}) as home,
    ):
        began_ms = home.now_ms
        for number, symbol in enumerate(symbols):
            # The later, the worse: 650,000 to 1,050,000 USD, all within 10 s.
            home.step([home.liquidated(symbol, 650_000.0 + 2_000.0 * number)])
            if number % 10 == 9:
                await home.passes(0.5)
        assert len({event.symbol for event in home.events}) == 200
        before = len({event.id for event in home.events})
        await home.passes(30.0 - (home.now_ms - began_ms) / 1000)
        seen = await receiver.requests(4)
        summaries = [one.json for one in seen if one.json["symbol"] == "MANY"]
        (summary,) = summaries
    assert before == 200
    assert len(seen) == 4, "three came alone before it was known to be a burst"
    assert summary["data"]["count"] == 197
    assert "C199/USDT, C198/USDT, C197/USDT" in summary["description"]
    assert summary["severity"] == "CRITICAL"


async def test_a_burst_that_grows_worse_as_a_whole_is_told_again(tmp_path: Path) -> None:
    symbols = [f"C{number}/USDT" for number in range(20)]
    small = CascadeSettings(cascade_threshold_usd=100_000, critical_velocity=100_000, market_multiple=1e6)
    receiver = Receiver()
    async with (
        opened(tmp_path) as storage,
        receiver.serving(),
        house(symbols, storage, {"ALL": receiver.base + "/hook"}, settings={"liquidation": small}) as home,
    ):
        for messages in (3 + 1, 3 + 1 + 3 + 3 + 1):
            home.step([home.liquidated(symbol, 150_000.0) for symbol in symbols])
            await home.passes(31.0)
            seen = await receiver.requests(messages)
    summaries = [one.json for one in seen if one.json["symbol"] == "MANY"]
    assert [(body["severity"], body["data"]["count"]) for body in summaries] == [
        ("WARNING", 17),
        ("CRITICAL", 14),
    ]
    assert len({body["id"] for body in summaries}) == 2
