"""Run the loopback exchange alone: `python -m regimes.feeds.simulator --help`."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from regimes.clock import ScaledClock, SystemClock
from regimes.errors import ConfigError
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.recorded import RecordedMarket
from regimes.feeds.simulator.scenarios import SCENARIOS
from regimes.feeds.simulator.source import MarketSource
from regimes.feeds.simulator.synthetic import SyntheticMarket

_FORMATS = ["%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"]


def main(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 picks a free one.")] = 0,
    speed: Annotated[float, typer.Option(help="Seconds of event time in a real second.", min=0.001)] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic market.")] = 0,
    scenario: Annotated[str, typer.Option(help=f"One of {', '.join(SCENARIOS)}.")] = "mixed",
    symbols: Annotated[
        str, typer.Option(help="Symbols, separated by commas.")
    ] = "BTC/USDT,ETH/USDT,SOL/USDT",
    data: Annotated[Path | None, typer.Option(help="Replay the recordings in this folder.")] = None,
    start: Annotated[
        datetime | None, typer.Option("--from", formats=_FORMATS, help="First moment, UTC.")
    ] = None,
    end: Annotated[datetime | None, typer.Option("--to", formats=_FORMATS, help="Last moment, UTC.")] = None,
) -> None:
    """Serve a Binance-protocol exchange on loopback until it is interrupted."""
    start_ms = SystemClock().now_ms() if start is None else _ms(start)
    try:
        source = _source(symbols.split(","), start_ms, seed, scenario, data, end)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    asyncio.run(_serve(source, ScaledClock(start_ms, speed), port))


def _source(
    symbols: list[str], start_ms: int, seed: int, scenario: str, data: Path | None, end: datetime | None
) -> MarketSource:
    if data is None:
        known = next((name for name in SCENARIOS if name == scenario), None)
        if known is None:
            raise ConfigError(f"scenario must be one of {', '.join(SCENARIOS)} (got {scenario!r})")
        return SyntheticMarket(symbols, start_ms, seed, known)
    if end is None:
        raise ConfigError("a replay needs both --from and --to")
    return RecordedMarket(data, symbols, start_ms, _ms(end))


async def _serve(source: MarketSource, clock: ScaledClock, port: int) -> None:
    async with LoopbackExchange(source, clock, port=port) as exchange:
        typer.echo(exchange.base_url)
        await exchange.finished()
        await asyncio.Event().wait()


def _ms(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp() * 1000)


if __name__ == "__main__":
    typer.run(main)
