"""One Parquet file that is filled a part at a time, and knows which spans were asked for."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import polars as pl
import structlog

_log = structlog.get_logger(__name__)

CANDLES: Final = pl.Schema(
    {
        "ts": pl.Int64,
        "open": pl.Float64,
        "high": pl.Float64,
        "low": pl.Float64,
        "close": pl.Float64,
        "volume": pl.Float64,
        "quote_volume": pl.Float64,
        "taker_buy_volume": pl.Float64,
    }
)
FUNDING: Final = pl.Schema({"ts": pl.Int64, "rate": pl.Float64, "interval_hours": pl.Float64})
PARTS: Final = ".parts"
SUMS: Final = "SHA256SUMS"
_COVERED: Final = "regimes.covered"


class Span(msgspec.Struct, frozen=True, order=True):
    """From `from_ms` on and before `to_ms`."""

    from_ms: int
    to_ms: int


def joined(spans: Sequence[Span]) -> list[Span]:
    """The same moments in as few spans as can be, oldest first."""
    found: list[Span] = []
    for span in sorted(spans):
        if span.from_ms >= span.to_ms:
            continue
        if found and span.from_ms <= found[-1].to_ms:
            found[-1] = Span(found[-1].from_ms, max(found[-1].to_ms, span.to_ms))
        else:
            found.append(span)
    return found


def without(span: Span, covered: Sequence[Span]) -> list[Span]:
    """What is left of a span, oldest first."""
    left, from_ms = [], span.from_ms
    for known in joined(covered):
        if known.to_ms <= from_ms or known.from_ms >= span.to_ms:
            continue
        if known.from_ms > from_ms:
            left.append(Span(from_ms, known.from_ms))
        from_ms = max(from_ms, known.to_ms)
    if from_ms < span.to_ms:
        left.append(Span(from_ms, span.to_ms))
    return left


class Table:
    """A file `path` below `folder` and the parts that are to go into it; each is whole or not there.

    A part is on disk when `add` returns, so a killed process loses none. What was asked for and is not there at the
    exchange counts as covered too, and is not asked for again.
    """

    def __init__(self, folder: Path, path: Path, schema: pl.Schema) -> None:
        self.path = path
        self._folder = folder
        self._schema = schema
        self._parts = folder / PARTS / path.stem

    def covered(self, step_ms: int) -> list[Span]:
        """What need not be asked for. A file of other origin covers all from its first row to its last.

        step_ms: the length of a row. A file that cannot be read is set aside as `.corrupt` and covers nothing.
        """
        return joined([*self._covered_by_file(step_ms), *map(_span_of, self._part_files())])

    def add(self, rows: pl.DataFrame, span: Span) -> None:
        """Put rows of a span on disk. Raises OSError when the disk does not take them."""
        self._parts.mkdir(parents=True, exist_ok=True)
        place = self._parts / f"{span.from_ms}-{span.to_ms}.parquet"
        replace_file(place, lambda temporary: rows.select(self._schema.names()).write_parquet(temporary))

    def finish(self, step_ms: int) -> pl.DataFrame:
        """Put the parts into the file, one row a time, oldest first; all its rows. A newer part's row wins."""
        covered, parts = self.covered(step_ms), self._part_files()
        frames = [self._schema.to_frame(), *([pl.read_parquet(self.path)] if self.path.exists() else [])]
        if parts:
            frames += map(pl.read_parquet, parts)
        rows = pl.concat(frames, how="diagonal").unique("ts", keep="last", maintain_order=True).sort("ts")
        if parts:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            told = {_COVERED: json.dumps([[span.from_ms, span.to_ms] for span in covered])}
            replace_file(self.path, lambda temporary: rows.write_parquet(temporary, metadata=told))
            for part in parts:
                part.unlink()
            self._parts.rmdir()
        return rows

    def _part_files(self) -> list[Path]:
        """Whole parts; what a killed process left of another one is swept away."""
        files = sorted(self._parts.iterdir()) if self._parts.exists() else []
        for path in files:
            if path.suffix != ".parquet":
                path.unlink()
        return [path for path in files if path.suffix == ".parquet"]

    def _covered_by_file(self, step_ms: int) -> list[Span]:
        if not self.path.exists():
            return []
        try:
            told = pl.read_parquet_metadata(self.path).get(_COVERED)
            times = pl.read_parquet(self.path, columns=["ts"]).get_column("ts")
        except (pl.exceptions.PolarsError, OSError) as error:
            aside = self.path.with_suffix(".corrupt")
            self.path.replace(aside)
            _log.warning("history_file_corrupt", path=str(self.path), error=str(error), moved_to=aside.name)
            return []
        if told is not None:
            return [Span(*ends) for ends in json.loads(told)]
        return [] if times.is_empty() else [Span(int(times.min()), int(times.max()) + step_ms)]  # type: ignore[arg-type]  # ts is Int64


def _span_of(part: Path) -> Span:
    from_ms, to_ms = part.stem.split("-")
    return Span(int(from_ms), int(to_ms))


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file whole; a reader sees the old one or the new one, never a part. Raises OSError."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):  # by a process that was killed
        left.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sha256(path: Path) -> str:
    """A file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_sums(folder: Path) -> dict[str, str]:
    """Checksums by file, as `sha256sum` writes them; lines that are none are passed over."""
    path = folder / SUMS
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.split(maxsplit=1) for line in lines)
    return {pair[1].lstrip("*"): pair[0] for pair in pairs if len(pair) == 2}


def write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Replace the checksums of some files; `sha256sum -c SHA256SUMS` checks all of them."""
    known = {**read_sums(folder), **sums}
    text = "".join(
        f"{digest}  {name}\n" for name, digest in sorted(known.items()) if (folder / name).exists()
    )
    replace_file(folder / SUMS, lambda temporary: temporary.write_text(text))
