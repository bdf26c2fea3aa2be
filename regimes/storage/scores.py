"""Tables of what followed events; the newest is the one in use."""

from typing import Final

from regimes.storage.base import ScoreRow
from regimes.storage.rows import columns, from_rows, to_row
from regimes.storage.session import Session, marks

KEPT: Final = 10
_FIELDS: Final = ScoreRow.__struct_fields__
_INSERT: Final = (
    f"INSERT INTO scores ({', '.join(_FIELDS)}) VALUES ({marks(len(_FIELDS))}) "
    f"ON CONFLICT (made_ms) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _FIELDS[1:])}"
)
_FORGET: Final = (
    "DELETE FROM scores WHERE made_ms NOT IN (SELECT made_ms FROM scores ORDER BY made_ms DESC LIMIT ?)"
)


async def put(session: Session, score: ScoreRow) -> int:
    """Keep a table, and of all there are the newest few."""
    put_in = await session.run(_INSERT, *to_row(score))
    await session.run(_FORGET, KEPT)
    return put_in


async def newest(session: Session, after_ms: int) -> ScoreRow | None:
    """The newest table, if it was made after a time."""
    found = await session.rows(
        f"SELECT {columns(ScoreRow)} FROM scores WHERE made_ms > ? ORDER BY made_ms DESC LIMIT 1", after_ms
    )
    return next(iter(from_rows(ScoreRow, found)), None)
