"""The files of the public archive, and what is in one.

```
[data/]spot/{monthly,daily}/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01.zip             and the same with `.CHECKSUM`
[data/]futures/um/{monthly,daily}/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01.zip
[data/]futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2024-01.zip
```

Times are ms; those of spot are microseconds from 2025 on. Some files begin with the names of their columns.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from regimes.errors import DataError
from regimes.feeds.recordings import Market
from regimes.history.backfill.table import CANDLES, FUNDING, Span, sha256
from regimes.timeframe import to_ms

_KLINES: Final = ("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
                  "taker_buy_volume", "taker_buy_quote_volume", "ignore")  # fmt: skip
_FUNDING: Final = ("calc_time", "funding_interval_hours", "last_funding_rate")
_NAME: Final = re.compile(
    r"(?P<id>[^-]+)-(?P<what>\d+[mhdw]|fundingRate)-(?P<period>\d{4}-\d{2}(?:-\d{2})?)\.zip"
)
_FIRST_MICROSECONDS: Final = 10**14
_LARGEST: Final = 512 * 1024 * 1024
_JITTER_MS: Final = 60_000
_MARKETS: Final[dict[Market, str]] = {"spot": "spot", "um": "futures/um"}


class ArchiveFile(msgspec.Struct, frozen=True, order=True):
    """One zip. market_id: the venue's. timeframe: None for funding. span: the month or day it is for."""

    market: Market
    market_id: str
    timeframe: str | None
    span: Span
    path: Path


def find(folder: Path) -> list[ArchiveFile]:
    """Every file of the archive in a folder, sorted by market, id, timeframe and time; other files are passed over."""
    found = []
    for root in (folder, folder / "data"):
        for market, below in _MARKETS.items():
            for path in (root / below).glob("*ly/**/*.zip"):
                match = _NAME.fullmatch(path.name)
                if match and (match["what"] != "fundingRate" or market == "um"):
                    timeframe = None if match["what"] == "fundingRate" else match["what"]
                    found.append(ArchiveFile(market, match["id"], timeframe, _period(match["period"]), path))
    return sorted(found, key=lambda f: (f.market, f.market_id, f.timeframe or "", f.span, f.path))


def _period(text: str) -> Span:
    """The month or day a file's name says."""
    is_day = text.count("-") == 2
    first = datetime.strptime(text + ("" if is_day else "-01"), "%Y-%m-%d").replace(tzinfo=UTC)
    after = first + timedelta(days=1) if is_day else (first + timedelta(days=32)).replace(day=1)
    return Span(round(first.timestamp() * 1000), round(after.timestamp() * 1000))


def is_verified(file: ArchiveFile) -> bool:
    """Whether its checksum is there and fits; False where there is none. Raises DataError for one that does not fit."""
    told = file.path.with_name(file.path.name + ".CHECKSUM")
    if not told.exists():
        return False
    words = told.read_text(errors="replace").split()
    digest = sha256(file.path)
    if not words or words[0].lower() != digest:
        raise DataError(
            f"{file.path}: its checksum is {digest}, {told.name} says {words[0] if words else 'nothing'}: fetch it again"
        )
    return True


def rows_of(file: ArchiveFile) -> pl.DataFrame:
    """What a file holds, in the columns of a folder of recordings, oldest first.

    Raises DataError, with the file's name, for a zip that is torn or holds something else, a checksum that does not fit, and
    values that cannot be.
    """
    is_verified(file)
    try:
        text = _unzipped(file.path)
        rows = _funding(text) if file.timeframe is None else _candles(text)
    except DataError as error:
        raise DataError(f"{file.path}: {error}") from error
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise DataError(f"{file.path}: not readable ({str(error)[:200]})") from error
    if rows.is_empty():
        raise DataError(f"{file.path}: holds no rows: fetch it again")
    _check(file, rows)
    return rows.unique("ts", keep="first", maintain_order=True).sort("ts")


def _unzipped(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info for info in archive.infolist() if info.filename.endswith(".csv")]
            if len(names) != 1 or names[0].file_size > _LARGEST:
                raise DataError("must hold one CSV file of at most 512 MB")
            return archive.read(names[0])
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"not a whole zip file ({error}): fetch it again") from error


def _table(text: bytes, columns: tuple[str, ...]) -> pl.DataFrame:
    """A CSV file without the names of its columns, all values as text."""
    has_names = text.startswith(columns[0].encode())
    schema = dict.fromkeys(columns, pl.String)
    return pl.read_csv(
        text, has_header=False, skip_rows=int(has_names), schema=schema, truncate_ragged_lines=False
    )


def _ms(column: str) -> pl.Expr:
    value = pl.col(column).cast(pl.Int64)
    return pl.when(value >= _FIRST_MICROSECONDS).then(value // 1000).otherwise(value).alias("ts")


def _candles(text: bytes) -> pl.DataFrame:
    numbers = [pl.col(name).cast(pl.Float64) for name in CANDLES.names()[1:]]
    return _table(text, _KLINES).select(_ms("open_time"), *numbers)


def _funding(text: bytes) -> pl.DataFrame:
    rate, hours = pl.col("last_funding_rate"), pl.col("funding_interval_hours")
    return (
        _table(text, _FUNDING)
        .select(
            _ms("calc_time"),
            rate.cast(pl.Float64).alias("rate"),
            hours.cast(pl.Float64).alias("interval_hours"),
        )
        .select(FUNDING.names())
    )


def _check(file: ArchiveFile, rows: pl.DataFrame) -> None:
    for words, rule in _rules(file):
        wrong = rows.filter(~rule.fill_null(value=False))
        if not wrong.is_empty():
            raise DataError(
                f"{file.path}: {words} (got {dict(zip(rows.columns, wrong.row(0), strict=True))})"
            )


def _rules(file: ArchiveFile) -> Iterator[tuple[str, pl.Expr]]:
    ts, slack = pl.col("ts"), 0 if file.timeframe else _JITTER_MS
    inside = (ts >= file.span.from_ms - slack) & (ts < file.span.to_ms + slack)
    yield "a row must be of the time the file's name says", inside
    if file.timeframe is None:
        yield "a rate must be between -1 and 1", pl.col("rate").is_between(-1, 1)
        return
    prices = [pl.col(name) for name in ("open", "high", "low", "close")]
    yield "prices must be positive numbers", pl.all_horizontal((p > 0) & p.is_finite() for p in prices)
    yield (
        "low <= open, close <= high must hold",
        pl.all_horizontal(p.is_between(pl.col("low"), pl.col("high")) for p in prices),
    )
    yield "a volume must be >= 0", (pl.col("volume") >= 0) & pl.col("volume").is_finite()
    if to_ms(file.timeframe) <= to_ms("1d"):
        yield f"a bar must begin at a multiple of {file.timeframe}", ts % to_ms(file.timeframe) == 0
