"""`regimes doctor`: what is wrong with this machine, this configuration, this network, and what to do."""

import shutil
import statistics
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final, Literal

import ccxt
import msgspec
from rich.table import Table
from rich.text import Text

from regimes.clock import SystemClock
from regimes.commands.output import console
from regimes.commands.running import ExitCode, run_to_end
from regimes.config import Settings, load
from regimes.errors import ConfigError, VenueError
from regimes.feeds.client import build_exchange
from regimes.logs import LogSettings, configure

FREE_MB: Final = 200
OFFSET_MS: Final = 1_000
ROUNDS: Final = 3
Verdict = Literal["ok", "warning", "wrong"]
_STYLES: Final = {"ok": "green", "warning": "yellow", "wrong": "bold red"}


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at. remedy: what to do, empty when nothing has to be done."""

    subject: str
    verdict: Verdict
    words: str
    remedy: str = ""


def execute(config: Path | None) -> ExitCode:
    """Look at everything, print a table, return CHECK_FAILED when something is wrong."""
    shown = console()
    configure(LogSettings(level="CRITICAL"))
    findings = run_to_end(examine(config))
    table = Table("what", "verdict", "finding", "what to do", title="Doctor", title_justify="left")
    for finding in findings:
        cells = (finding.subject, finding.verdict, finding.words, finding.remedy)
        table.add_row(*map(Text, cells), style=_STYLES[finding.verdict])
    shown.print(table)
    wrong = any(finding.verdict == "wrong" for finding in findings)
    return ExitCode.CHECK_FAILED if wrong else ExitCode.OK


async def examine(config: Path | None) -> list[Finding]:
    """Return every finding; later checks are left out where an earlier one makes them impossible."""
    try:
        settings = load(config)
    except ConfigError as error:
        return [
            Finding("configuration", "wrong", line, "correct it, then run doctor again")
            for line in str(error).splitlines()
        ]
    findings = [Finding("configuration", "ok", f"{len(settings.symbols)} symbols, all settings valid")]
    findings += disk(settings)
    async for finding in _venues(settings):
        findings.append(finding)
    return findings


def disk(settings: Settings) -> Iterator[Finding]:
    """Whether candles can be cached and lines logged."""
    for subject, folder in (
        ("cache folder", settings.storage.cache_dir),
        ("log folder", settings.log.file.parent if settings.log.file else None),
    ):
        if folder is not None:
            yield _folder(subject, folder)


def _folder(subject: str, folder: Path) -> Finding:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".regimes-probe"
        probe.write_bytes(b"probe")
        probe.unlink()
    except OSError as error:
        return Finding(
            subject,
            "wrong",
            f"{folder}: {error.strerror}",
            "let this user write there, or name another folder",
        )
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    if free_mb < FREE_MB:
        return Finding(subject, "warning", f"{folder}: only {free_mb} MB free", f"free at least {FREE_MB} MB")
    return Finding(subject, "ok", f"{folder}: writable, {free_mb:,} MB free")


async def _venues(settings: Settings) -> AsyncIterator[Finding]:
    for role, venue in (("spot", settings.venues.spot), ("derivatives", settings.venues.derivatives)):
        if not venue:
            yield Finding(
                f"venues.{role}",
                "warning",
                "none configured",
                f"signals that need {role} data are unavailable",
            )
            continue
        exchange = build_exchange(venue, settings.venues, SystemClock())
        try:
            for finding in await _venue(role, venue, exchange, settings):
                yield finding
        finally:
            await exchange.close()


async def _venue(role: str, venue: str, exchange: Any, settings: Settings) -> list[Finding]:
    subject = f"{venue} ({role})"
    clock = SystemClock()
    try:
        offsets, trips = await _compare_clocks(exchange, clock)
        await exchange.load_markets()
    except VenueError as error:
        return [Finding(subject, "wrong", str(error), f"choose another venue for venues.{role}")]
    except (TimeoutError, ccxt.BaseError, OSError) as error:
        return [
            Finding(
                subject,
                "wrong",
                f"cannot be reached: {type(error).__name__}: {str(error)[:160]}",
                "check network, proxy and firewall of this machine; set a proxy as venues."
                f"{role}_url if there is one",
            )
        ]
    return [
        Finding(
            subject, "ok", f"reached in {statistics.median(trips):.0f} ms, {len(exchange.markets)} markets"
        ),
        _clock(subject, statistics.median(offsets)),
        _symbols(subject, exchange, settings, role),
    ]


async def _compare_clocks(exchange: Any, clock: SystemClock) -> tuple[list[float], list[float]]:
    offsets, trips = [], []
    for _ in range(ROUNDS):
        began, began_ms = clock.monotonic(), clock.now_ms()
        theirs_ms = await exchange.fetch_time()
        trip_ms = (clock.monotonic() - began) * 1000
        offsets.append(theirs_ms - (began_ms + trip_ms / 2))
        trips.append(trip_ms)
    return offsets, trips


def _clock(subject: str, offset_ms: float) -> Finding:
    words = f"this machine's clock is {abs(offset_ms):.0f} ms {'behind' if offset_ms > 0 else 'ahead'}"
    if abs(offset_ms) > OFFSET_MS:
        return Finding(
            f"clock, {subject}",
            "warning",
            words,
            "set the clock (chrony or ntpd); `run` corrects for it meanwhile",
        )
    return Finding(f"clock, {subject}", "ok", words)


def _symbols(subject: str, exchange: Any, settings: Settings, role: str) -> Finding:
    spellings = {market["base"] + "/" + market["quote"] for market in exchange.markets.values()}
    missing = [symbol for symbol in settings.symbols if "/" in symbol and symbol not in spellings]
    if missing:
        what = "candles" if role == "spot" else "liquidations and funding"
        return Finding(
            f"symbols, {subject}",
            "warning",
            f"has no {', '.join(missing)}",
            f"their {what} will be unavailable; correct `symbols` if it is a misspelling",
        )
    return Finding(f"symbols, {subject}", "ok", "has every configured symbol")
