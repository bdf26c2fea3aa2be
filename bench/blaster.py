"""A process of its own that plays the exchange and sends what it is told to on standard input, raw and fast.

Event time stands still, so that nothing leaves that was not asked for, unless it is told to run. Each client has
an exchange to itself.
"""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal

import msgspec
import typer

from regimes.clock import ScaledClock
from regimes.commands.load_test.market import names
from regimes.commands.running import run_to_end
from regimes.feeds.simulator import frames
from regimes.feeds.simulator.connections import Message
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.source import Bar
from regimes.feeds.simulator.synthetic import SyntheticMarket
from regimes.timeframe import HOUR_MS, bar_open

START_MS: Final = 1_737_984_600_000
symbols = names
Kind = Literal["forceOrder", "kline", "markPrice"]


class Order(msgspec.Struct, frozen=True):
    """What to send: `count` messages of a kind. per_second: real pace, None for as fast as possible."""

    exchange: int
    kind: Kind
    count: int
    per_segment: int
    per_second: float | None = None


class Done(msgspec.Struct, frozen=True):
    """How many frames left."""

    frames: int


class Blaster:
    """Exchanges with the same market each, and the numbering that makes every message new."""

    def __init__(self, count: int, exchanges: Sequence[LoopbackExchange], source: SyntheticMarket) -> None:
        self._ids = [name.replace("/", "") for name in symbols(count)]
        self._exchanges = exchanges
        self._source = source
        self._sent = [0] * len(exchanges)

    async def send(self, order: Order) -> Done:
        """Do as told; returns when all has been written."""
        faults = self._exchanges[order.exchange].faults
        pace = {"per_segment": order.per_segment, "per_second": order.per_second}
        if order.kind == "forceOrder":
            sent = await faults.burst(order.count, **pace)  # type: ignore[arg-type]  # one dict for three calls
        elif order.kind == "kline":
            sent = await faults.pour(list(self._klines(self._numbers(order))), **pace)  # type: ignore[arg-type]
        else:
            sent = await faults.pour(list(self._arrays(self._numbers(order))), **pace)  # type: ignore[arg-type]
        return Done(sent)

    def _numbers(self, order: Order) -> range:
        """Numbers that this exchange has not used yet."""
        first = self._sent[order.exchange]
        self._sent[order.exchange] += order.count
        return range(first, first + order.count)

    def _klines(self, numbers: range) -> Iterator[list[Message]]:
        """Unfinished hours of one symbol after the other, their volume growing."""
        listings = self._source.listings("spot")
        open_ms = bar_open(START_MS, HOUR_MS)
        for number in numbers:
            name = self._ids[number % len(self._ids)]
            bar = Bar(open_ms, 100.0, 101.0, 99.0, 100.5, 10.0 + number, 1005.0 + number, 5.0)
            payload = frames.kline(listings[name], "spot", "1h", HOUR_MS, bar, START_MS, closed=False)
            yield [Message("spot", f"{name.lower()}@kline_1h", "kline", payload)]

    def _arrays(self, numbers: range) -> Iterator[list[Message]]:
        """Mark prices of all symbols at once, each array a millisecond after the one before.

        They go to the stream of all markets and to the first symbol's own, whichever is read.
        """
        listings = self._source.listings("usdm")
        marks = {name: self._source.mark(name, START_MS) for name in self._ids}
        for number in numbers:
            events = [
                frames.mark_price(listings[name], mark, START_MS + number, 0)
                for name, mark in marks.items()
                if mark is not None
            ]
            payload = frames.array(events)
            yield [
                Message("usdm", stream, "markPrice", payload)
                for stream in ("!markPrice@arr@1s", f"{self._ids[0].lower()}@markPrice@1s")
            ]


def market(count: int) -> SyntheticMarket:
    """The market that all exchanges of the benchmarks have."""
    return SyntheticMarket(symbols(count), START_MS, 1, "calm")


async def _serve(count: int, exchanges: int, *, running: bool) -> None:
    source = market(count)
    clock = ScaledClock(START_MS, 1.0, running=running)
    opened = [LoopbackExchange(source, clock) for _ in range(exchanges)]
    for exchange in opened:
        await exchange.__aenter__()
    blaster = Blaster(count, opened, source)
    _say([exchange.base_url for exchange in opened])
    while line := await asyncio.to_thread(sys.stdin.buffer.readline):
        _say(await blaster.send(msgspec.json.decode(line, type=Order)))
    for exchange in opened:
        await exchange.__aexit__(None, None, None)


def _say(answer: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


def main(
    count: Annotated[int, typer.Option(help="Symbols.")] = 50,
    exchanges: Annotated[int, typer.Option(help="Exchanges, one a client.")] = 1,
    *,
    running: Annotated[bool, typer.Option("--running", help="Let event time pass.")] = False,
) -> None:
    """Serve until standard input ends."""
    run_to_end(_serve(count, exchanges, running=running))


if __name__ == "__main__":
    typer.run(main)
