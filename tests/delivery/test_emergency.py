import msgspec
import pytest
from structlog.testing import capture_logs

from regimes.clock import SystemClock
from regimes.delivery.channel import Channel, open_channels
from regimes.delivery.emergency import QUIET_S, Emergency
from regimes.delivery.endpoints import parse_endpoints
from regimes.delivery.settings import DeliverySettings
from regimes.events import Event, EventType, Phase, Severity
from tests.delivery.receivers import Receiver, says

SETTINGS = DeliverySettings(allow_cidrs=("127.0.0.0/8",), timeout_seconds=1.0)
FULL = Event(
    type=EventType.SYSTEM_DISK_LOW,
    symbol="storage",
    severity=Severity.CRITICAL,
    phase=Phase.OPENED,
    ts_ms=1_737_982_800_000,
    started_ms=1_737_982_800_000,
    revision=0,
    title="Alerts cannot be stored",
    description="12 steps wait in memory.",
    why="the disk is full",
    data={},
)


class PassingClock(SystemClock):
    """The machine's clock, which a test can put forward."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


async def test_it_goes_to_the_admin_alone_where_there_is_one() -> None:
    async with Receiver().serving() as admin, Receiver().serving() as everybody:
        endpoints = parse_endpoints({"ALL": everybody.base, "ADMIN": admin.base})
        async with open_channels(endpoints, SETTINGS) as channels:
            await Emergency(channels, SystemClock()).send(FULL)
    assert [one.json["title"] for one in admin.seen] == ["Alerts cannot be stored"]
    assert not everybody.seen


async def test_without_an_admin_it_goes_to_those_who_get_everything() -> None:
    async with Receiver().serving() as everybody, Receiver().serving() as some:
        endpoints = parse_endpoints({"ALL": everybody.base, "CASCADE": some.base})
        async with open_channels(endpoints, SETTINGS) as channels:
            await Emergency(channels, SystemClock()).send(FULL)
    assert len(everybody.seen) == 1
    assert not some.seen


async def test_the_same_trouble_is_sent_once_an_hour() -> None:
    clock = PassingClock()
    async with (
        Receiver().serving() as admin,
        open_channels(parse_endpoints({"ADMIN": admin.base}), SETTINGS) as channels,
    ):
        emergency = Emergency(channels, clock)
        for _ in range(3):
            await emergency.send(FULL)
        await emergency.send(msgspec.structs.replace(FULL, symbol="another"))
        clock.ahead_s = QUIET_S + 1
        await emergency.send(FULL)
    assert [one.json["symbol"] for one in admin.seen] == ["storage", "another", "storage"]


@pytest.mark.parametrize("broken", ["nobody listens", "refuses"])
async def test_an_endpoint_that_cannot_take_it_does_not_keep_it_from_the_next(broken: str) -> None:
    async with Receiver().serving() as first, Receiver().serving() as second:
        first.script = [says(500)]
        nobody = "http://127.0.0.1:1/hook"
        urls = f"{nobody if broken == 'nobody listens' else first.base},{second.base}"
        async with open_channels(parse_endpoints({"ADMIN": urls}), SETTINGS) as channels:
            await Emergency(channels, SystemClock()).send(FULL)
    assert len(second.seen) == 1


async def test_a_hanging_endpoint_does_not_keep_it_from_the_next() -> None:
    async with Receiver().serving() as first, Receiver().serving() as second:
        first.script = [first.hang]
        endpoints = parse_endpoints({"ADMIN": f"{first.base},{second.base}"})
        async with open_channels(endpoints, SETTINGS) as channels:
            await Emergency(channels, SystemClock()).send(FULL)
    assert second.seen[0].at_s - first.seen[0].at_s < SETTINGS.timeout_seconds / 2


async def test_with_nobody_to_tell_it_is_only_logged() -> None:
    channels: tuple[Channel, ...] = ()
    with capture_logs() as lines:
        await Emergency(channels, SystemClock()).send(FULL)
    assert [(line["log_level"], line["event"], line["why"]) for line in lines] == [
        ("error", "emergency", "the disk is full")
    ]
