"""`record`, `backfill` and `export` as users start them."""

import asyncio
import json
import os
import signal
import sqlite3
from pathlib import Path

import polars as pl
import psutil
import pytest

from regimes.clock import SystemClock
from regimes.events import iso_utc
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.scenarios import Scenario
from regimes.feeds.simulator.synthetic import SyntheticMarket
from regimes.history import open_source
from regimes.history.tape.source import TapeSource
from regimes.observations import Candle, Liquidation, MarkPrice, Tick
from regimes.timeframe import DAY_MS, HOUR_MS
from tests.e2e.process import regimes, started
from tests.e2e.test_run import against

SYMBOLS = ("BTC/USDT", "ETH/USDT")


def exchange_of(scenario: Scenario = "cascade") -> LoopbackExchange:
    clock = SystemClock()
    return LoopbackExchange(SyntheticMarket(SYMBOLS, clock.now_ms() - 60_000, 1, scenario), clock)


async def burst(exchange: LoopbackExchange) -> None:
    await exchange.faults.burst(200, symbol_ids=["BTCUSDT"])


async def test_record_writes_a_tape_and_ends_in_order(tmp_path: Path) -> None:
    async with exchange_of() as exchange:
        variables = against(
            exchange, REGIMES__PIPELINE__STATUS_SECONDS="1", REGIMES__TAPE__FLUSH_SECONDS="0.2"
        )
        options = ("--to", "here", "--kinds", "liquidation,mark_price", "--symbols", "BTC/USDT")
        async with started(tmp_path, "record", *options, **variables) as recording:
            await recording.says("binanceusdm liquidations")
            await burst(exchange)
            await recording.says('"recorded"')
            recording.signal(signal.SIGTERM)
            assert await recording.ends(timeout_s=10) == 0
    tape = TapeSource(tmp_path / "here")
    records = list(tape.records(*tape.span()))
    found = [record for record in records if isinstance(record.observation, Liquidation)]
    assert len(found) >= 1
    assert all('"forceOrder"' in str(record.frame) for record in found)
    assert {MarkPrice, Tick} < {type(record.observation) for record in records}
    assert not tape.damage
    assert not tape.is_whole
    assert "tape_closed" in "".join(recording.said)


async def test_run_records_liquidations_by_default_and_what_was_recorded_survives_kill_9(
    tmp_path: Path,
) -> None:
    async with exchange_of() as exchange:
        variables = against(exchange, REGIMES__TAPE__FLUSH_SECONDS="0.1")
        async with started(tmp_path, "run", **variables) as service:
            await service.says("binanceusdm liquidations")
            await burst(exchange)
            folder = tmp_path / ".regimes" / "tape"
            async with asyncio.timeout(20):
                while not _liquidations(folder):  # noqa: ASYNC110  # another process writes it
                    await asyncio.sleep(0.1)
            service.signal(signal.SIGKILL)
            await service.ends(timeout_s=10)
        before = _liquidations(folder)
        async with started(tmp_path, "run", **variables) as service:
            await service.says("binanceusdm liquidations")
            service.signal(signal.SIGTERM)
            assert await service.ends(timeout_s=10) == 0
    assert set(before) <= set(_liquidations(folder))
    assert all(path.suffix == ".tape" for path in folder.iterdir())


def _liquidations(folder: Path) -> list[Liquidation]:
    if not TapeSource.fits(folder):
        return []
    tape = TapeSource(folder)
    return [
        record.observation for record in tape.records(0, 2**60) if isinstance(record.observation, Liquidation)
    ]


async def test_a_tape_that_is_switched_off_is_not_there(tmp_path: Path) -> None:
    async with (
        exchange_of() as exchange,
        started(tmp_path, "run", **against(exchange, REGIMES__TAPE__ENABLED="false")) as service,
    ):
        await service.says("binanceusdm liquidations")
        service.signal(signal.SIGTERM)
        assert await service.ends(timeout_s=10) == 0
    assert not (tmp_path / ".regimes" / "tape").exists()


async def test_backfill_fills_a_folder_shows_it_and_goes_on_after_kill_9(tmp_path: Path) -> None:
    end_ms = SystemClock().now_ms() // HOUR_MS * HOUR_MS
    span = ("--from", iso_utc(end_ms - 15 * DAY_MS), "--to", iso_utc(end_ms))
    options = ("backfill", *span, "--timeframes", "1h,1m", "--to-dir", "history")
    async with exchange_of("calm") as exchange:
        variables = against(exchange, REGIMES__VENUES__REST_WEIGHT_PER_MINUTE="100000")
        async with started(tmp_path, *options, **variables) as filling:
            await filling.says("2 of ")
            filling.signal(signal.SIGKILL)
            await filling.ends(timeout_s=10)
        parts = list((tmp_path / "history").rglob("*.parquet"))
        assert parts
        asked = sum(exchange.sent.requests.values())
        done = await regimes(tmp_path, *options, **variables)
        second = sum(exchange.sent.requests.values()) - asked
        whole = await regimes(tmp_path, *options[:-1], "other", **variables)
        third = sum(exchange.sent.requests.values()) - asked - second
    assert done.code == whole.code == 0, done.err + whole.err
    assert second < third
    assert "candles/spot_BTCUSDT_1m.parquet" in done.out
    files = sorted(path.relative_to(tmp_path / "other") for path in (tmp_path / "other").rglob("*_*.parquet"))
    assert len(files) == 2 * 2 * 2 + 2
    for name in files:
        resumed, single = (pl.read_parquet(tmp_path / folder / name) for folder in ("history", "other"))
        assert resumed.equals(single)
    source = open_source(tmp_path / "history")
    candles = [one for one in source.observations(*source.span()) if isinstance(one, Candle)]
    assert len(candles) == 2 * 15 * 24


async def test_backfill_says_what_it_could_not_have_and_that_it_goes_on(tmp_path: Path) -> None:
    async with exchange_of("calm") as exchange:
        exchange.faults.http.add(451, path="/fapi/v1/fundingRate")
        done = await regimes(tmp_path, "backfill", "--from", "2d", **against(exchange))
    assert done.code == 1
    assert "not complete: funding/funding_BTCUSDT.parquet" in done.err
    assert "the same command again goes on" in done.err
    assert (tmp_path / "history/candles/spot_BTCUSDT_1h.parquet").exists()


async def test_backfill_without_an_exchange_says_so(tmp_path: Path) -> None:
    variables = {
        "REGIMES__VENUES__SPOT_URL": "http://127.0.0.1:9",
        "REGIMES__VENUES__DERIVATIVES_URL": "http://127.0.0.1:9",
    }
    done = await regimes(tmp_path, "backfill", "--from", "2d", **variables)
    assert done.code == 3
    assert "cannot be reached" in done.err
    assert "Traceback" not in done.err


async def test_export_writes_what_the_service_stored(tmp_path: Path) -> None:
    async with exchange_of() as exchange, started(tmp_path, "run", **against(exchange)) as service:
        await service.says("binanceusdm liquidations")
        await burst(exchange)
        await service.says('"market_event"')
        service.signal(signal.SIGTERM)
        assert await service.ends(timeout_s=10) == 0
    done = await regimes(tmp_path, "export", "--to", "out", "--from", "1h")
    assert done.code == 0, done.err
    assert len(pl.read_parquet(tmp_path / "out/liquidations.parquet")) > 0
    assert len(pl.read_parquet(tmp_path / "out/readings.parquet")) > 0
    events = pl.read_parquet(tmp_path / "out/market_events.parquet")
    assert {json.loads(body)["event_type"] for body in events["body"]}
    nothing = await regimes(
        tmp_path, "export", "--to", "old", "--until", "2020-01-01", "--tables", "readings"
    )
    assert nothing.code == 0
    assert len(pl.read_parquet(tmp_path / "old/readings.parquet")) == 0


@pytest.fixture
def recordings(data_dir: Path) -> str:
    return str(data_dir.resolve())


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_tune_that_is_interrupted_leaves_no_process_and_no_file(
    recordings: str, tmp_path: Path
) -> None:
    """As Ctrl-C does it: the signal reaches every process of the command."""
    wide = "funding.anomaly_z_threshold=1.5,1.8,2,2.2,2.5,3"
    options = ("tune", recordings, "--set", wide, "--jobs", "2", "--write", "chosen.toml")
    async with started(tmp_path, *options) as tuning:
        command = psutil.Process(tuning.process.pid)
        async with asyncio.timeout(60):
            while len(at_work := command.children(recursive=True)) < 3:  # noqa: ASYNC110  # they are other processes
                await asyncio.sleep(0.05)
        ending = asyncio.create_task(tuning.ends(timeout_s=40))
        # The moment in which the processes are started hears nothing; people press again.
        while not ending.done():
            os.killpg(command.pid, signal.SIGINT)
            await asyncio.wait({ending}, timeout=8)
        assert ending.result() == 130
    assert not psutil.wait_procs(at_work, timeout=20)[1]
    assert not files_in(tmp_path)
    said = "".join(tuning.said)
    assert "nothing was chosen, nothing was written" in said
    assert "Traceback" not in said


async def test_events_without_prices_are_not_scored_and_no_table_is_replaced(
    tmp_path: Path, data_dir: Path
) -> None:
    span = ("--from", "2024-08-01", "--to", "2024-08-08")
    stored = await regimes(tmp_path, "replay", str(data_dir), *span, "--store", "--json")
    assert stored.code == 0, stored.err
    done = await regimes(tmp_path, "score", "--since", "2024-08-01", "--until", "2024-08-08")
    assert done.code == 2
    assert "no prices of their times" in done.err
    assert "regimes backfill" in done.err
    database = sqlite3.connect(tmp_path / "local.db")
    assert database.execute("SELECT count(*) FROM scores").fetchone() == (0,)
    database.close()
    report = await regimes(tmp_path, "report", "--since", "2024-08-01", "--until", "2024-08-08")
    assert report.code == 0, report.err
    assert "No prices of this span are known" in (tmp_path / "report.html").read_text()
