"""Archives as the exchange publishes them, made up."""

import hashlib
import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from regimes.timeframe import HOUR_MS

_HEADS = {
    "klines": "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore",
    "fundingRate": "calc_time,funding_interval_hours,last_funding_rate",
}


def ms(*date: int) -> int:
    return round(datetime(*date, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc, arg-type]


def bar(ts: int, price: float = 100.0, *, unit: int = 1, step: int = HOUR_MS) -> str:
    """A line of a kline file. unit: 1000 for microseconds."""
    last = (ts + step) * unit - 1
    return f"{ts * unit},{price},{price + 2},{price - 2},{price + 1},5.5,{last},551.0,7,2.5,250.0,0"


def hours(begin: int, end: int, *, unit: int = 1, without: Sequence[int] = ()) -> list[str]:
    times = [ts for ts in range(begin, end, HOUR_MS) if ts not in without]
    return [bar(ts, 100.0 + (ts // HOUR_MS) % 50, unit=unit) for ts in times]


def settlements(begin: int, end: int) -> list[str]:
    return [f"{ts + 2},8,0.0001" for ts in range(begin, end, 8 * HOUR_MS)]


def pack(path: Path, lines: Iterable[str], *, named: bool = False, checksum: bool = True) -> Path:
    """Write one zip of the archive, with its checksum. named: with the names of the columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "fundingRate" if "fundingRate" in path.name else "klines"
    text = "\n".join([*([_HEADS[kind]] if named else []), *lines]) + "\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(path.name.replace(".zip", ".csv"), text)
    if checksum:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name(path.name + ".CHECKSUM").write_text(f"{digest}  {path.name}\n")
    return path


def spot(folder: Path, period: str, name: str = "BTCUSDT") -> Path:
    every = "daily" if period.count("-") == 2 else "monthly"
    return folder / "spot" / every / "klines" / name / "1h" / f"{name}-1h-{period}.zip"


def um(folder: Path, period: str, name: str = "BTCUSDT") -> Path:
    return folder / "futures/um/monthly/klines" / name / "1h" / f"{name}-1h-{period}.zip"


def funding(folder: Path, period: str, name: str = "BTCUSDT") -> Path:
    return folder / "futures/um/monthly/fundingRate" / name / f"{name}-fundingRate-{period}.zip"


DEC, JAN, FEB, MAR = ms(2024, 12, 1), ms(2025, 1, 1), ms(2025, 2, 1), ms(2025, 3, 1)


def archive(folder: Path) -> Path:
    """Three months of BTC: ms until 2024, microseconds of spot after; and ETH, of which only the perpetual is there."""
    pack(spot(folder, "2024-12"), hours(DEC, JAN))
    pack(spot(folder, "2025-01"), hours(JAN, FEB, unit=1000))
    pack(spot(folder, "2025-02-01"), hours(FEB, FEB + 24 * HOUR_MS, unit=1000))
    pack(um(folder, "2024-12"), hours(DEC, JAN), named=True)
    pack(um(folder, "2025-01", "ETHUSDT"), hours(JAN, FEB), named=True)
    pack(funding(folder, "2024-12"), settlements(DEC, JAN), named=True)
    pack(funding(folder, "2025-01"), settlements(JAN, FEB), named=True)
    return folder
