import asyncio
import signal
import sys

import pytest
import structlog
from structlog.testing import capture_logs

from regimes.events import Event, EventType, Phase, Severity
from regimes.feeds.history import Progress
from regimes.service import log_event, log_progress

HANGS = """
import asyncio
from regimes.service import stop_on_signals

async def main():
    stop = asyncio.Event()
    stop_on_signals(stop)
    print("up", flush=True)
    await stop.wait()
    print("asked", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_a_process_that_hangs_at_once(number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HANGS, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"up\n"
    process.send_signal(number)
    while await process.stdout.readline() != b"asked\n":
        pass
    process.send_signal(number)
    assert await asyncio.wait_for(process.wait(), 5) == 128 + number


@pytest.mark.parametrize(
    ("severity", "level"),
    [(Severity.INFO, "info"), (Severity.WARNING, "warning"), (Severity.CRITICAL, "error")],
)
def test_an_event_is_logged_at_the_level_of_its_severity(severity: Severity, level: str) -> None:
    event = Event(
        type=EventType.VOLATILITY_REGIME,
        symbol="BTC/USDT",
        severity=severity,
        phase=Phase.OPENED,
        ts_ms=2,
        started_ms=1,
        revision=0,
        title="title",
        description="description",
        why="why",
        data={},
    )
    structlog.reset_defaults()
    with capture_logs() as lines:
        log_event(event)
    (line,) = lines
    assert line["log_level"] == level
    assert (line["type"], line["symbol"], line["id"]) == ("VOLATILITY_REGIME", "BTC/USDT", event.id)


def test_the_warm_up_is_logged_in_tenths_and_at_its_end() -> None:
    structlog.reset_defaults()
    with capture_logs() as lines:
        for done in range(1, 26):
            log_progress(Progress(done, 25, "BTC/USDT 1h"))
    assert len(lines) <= 13
    assert lines[-1]["done"] == lines[-1]["of"] == 25
