"""Raw liquidations and readings, kept for restarts and history."""

from collections.abc import Sequence
from typing import Final

import msgspec

from regimes.observations import Liquidation
from regimes.storage.base import Liquidated, LiquidationPlace, ReadingRow
from regimes.storage.rows import columns, from_rows, insert
from regimes.storage.session import Session, Value, marks

_INSERT_LIQUIDATION: Final = insert("liquidations", Liquidation)
_PLACE: Final = "ts_ms, venue, symbol, closed, fill_price, base_qty"
_INSERT_READING: Final = insert("readings", ReadingRow)


async def add(session: Session, liquidations: Sequence[Liquidation], readings: Sequence[ReadingRow]) -> int:
    """Append; doubles are ignored. How many were given."""
    if liquidations:
        await session.many(_INSERT_LIQUIDATION, [msgspec.structs.astuple(row) for row in liquidations])
    if readings:
        await session.many(_INSERT_READING, [msgspec.structs.astuple(row) for row in readings])
    return len(liquidations) + len(readings)


async def liquidations(
    session: Session, since_ms: int, symbol: str | None, limit: int, before: LiquidationPlace | None
) -> Sequence[Liquidation]:
    """The newest `limit` since a time that stand before a place, oldest first."""
    clauses = ["ts_ms >= ?"]
    values: list[Value] = [since_ms]
    if symbol is not None:
        clauses.append("symbol = ?")
        values.append(symbol)
    if before is not None:
        # The first of the two says the same of the time alone: it is what an index can use.
        clauses += ["ts_ms <= ?", f"({_PLACE}) < ({marks(len(before))})"]
        values += [before[0], *before]
    found = await session.rows(
        f"SELECT {columns(Liquidation)} FROM liquidations WHERE {' AND '.join(clauses)} "
        f"ORDER BY {_PLACE.replace(',', ' DESC,')} DESC LIMIT ?",
        *values,
        limit,
    )
    return [Liquidation(*row) for row in reversed(found)]


async def liquidated(
    session: Session, symbol: str | None, from_ms: int, to_ms: int, step_ms: int
) -> Sequence[Liquidated]:
    """Sums a step of time, oldest first; steps in which there was nothing are left out."""
    values: list[Value] = [step_ms, step_ms, from_ms, to_ms]
    found = await session.rows(
        "SELECT ts_ms / ? * ? AS open_ms, sum(CASE WHEN closed = 'long' THEN quote_usd ELSE 0.0 END), "
        "sum(CASE WHEN closed = 'short' THEN quote_usd ELSE 0.0 END), count(*) FROM liquidations "
        f"WHERE ts_ms >= ? AND ts_ms < ? {'' if symbol is None else 'AND symbol = ? '}GROUP BY 1 ORDER BY 1",
        *values,
        *([] if symbol is None else [symbol]),
    )
    return [Liquidated(*row) for row in found]


async def readings(
    session: Session, feature: str, symbol: str, from_ms: int, to_ms: int, limit: int
) -> Sequence[ReadingRow]:
    """The oldest `limit` of a span, oldest first."""
    found = await session.rows(
        f"SELECT {columns(ReadingRow)} FROM readings WHERE feature = ? AND symbol = ? "
        "AND ts_ms >= ? AND ts_ms < ? ORDER BY ts_ms LIMIT ?",
        feature,
        symbol,
        from_ms,
        to_ms,
        limit,
    )
    return from_rows(ReadingRow, found)
