"""Our web server in a process of its own, its market quiet; each line of standard input is an event that has become durable."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from regimes.clock import SystemClock
from regimes.commands.load_test.children import say
from regimes.commands.running import allow_open_files, run_to_end
from regimes.config.settings import Origin, settings_type
from regimes.events import Event, EventBody, EventType, Phase, Severity, body
from regimes.logs import LogSettings, configure
from regimes.pipeline import Pipeline
from regimes.pipeline.alerts import open_alerts
from regimes.service import web_of


class Counts(msgspec.Struct, frozen=True):
    """Of the hub, since the start."""

    clients: int
    conflated: int
    stuck: int


async def _serve(folder: Path, streams: int) -> None:
    settings = settings_type()().replaced(
        Origin("bench", ""),
        storage={"url": f"sqlite:///{folder / 'sse.db'}", "cache_dir": folder / "cache"},
        web={"port": 0, "max_streams": streams},
    )
    clock = SystemClock()
    async with open_alerts(settings, clock) as alerts:
        async with web_of(settings, clock, Pipeline(settings, clock=clock), alerts) as server:
            assert server is not None
            say(int(server.address.rpartition(":")[2]))
            reader = asyncio.StreamReader()
            await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
            )
            number = 0
            while line := await reader.readline():
                told = msgspec.json.decode(line)
                if told is None:
                    counts = server.hub.counts
                    say(Counts(server.hub.clients, counts.conflated, counts.stuck))
                else:
                    number += 1
                    server.wrote([_event(number, told)], [])
        await alerts.close()


# Made once: what an event says is the engine's work, not the stream's.
_PATTERN: Final = body(
    Event(
        type=EventType.VOLATILITY_REGIME,
        symbol="BTC/USDT",
        severity=Severity.WARNING,
        phase=Phase.OPENED,
        ts_ms=0,
        started_ms=0,
        revision=0,
        title="",
        description="",
        why="",
        data={},
    )
)


def _event(number: int, data: dict[str, Any]) -> EventBody:
    return msgspec.structs.replace(_PATTERN, id=f"evt_{number}", data=data)


def main(
    folder: Annotated[Path, typer.Argument(help="For the database.")],
    streams: Annotated[int, typer.Argument(help="Streams that may be open.")],
) -> None:
    """Serve until standard input ends."""
    allow_open_files()
    configure(LogSettings(level="ERROR"))
    run_to_end(_serve(folder, streams))


if __name__ == "__main__":
    typer.run(main)
