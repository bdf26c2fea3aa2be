"""What a restart must know: state of the engine and of the endpoints, silences; one row each, replaced in place."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from regimes.alerting.records import Silence
from regimes.storage.rows import columns, from_rows, to_row
from regimes.storage.session import Session, marks


class Memory(msgspec.Struct, kw_only=True):
    """All of it at once."""

    state: dict[str, bytes] = {}
    endpoints: dict[str, bytes] = {}
    silences: dict[str, Silence] = {}

    def copy(self) -> "Memory":
        """As it is now, whatever is changed meanwhile."""
        return Memory(state={**self.state}, endpoints={**self.endpoints}, silences={**self.silences})


def _upsert(table: str, key: str, *others: str) -> str:
    replaced = ", ".join(f"{name} = excluded.{name}" for name in others)
    names = ", ".join((key, *others))
    return f"INSERT INTO {table} ({names}) VALUES ({marks(1 + len(others))}) ON CONFLICT ({key}) DO UPDATE SET {replaced}"


_PUT_STATE: Final = _upsert("engine_state", "name", "body")
_PUT_ENDPOINT: Final = _upsert("endpoints", "name", "state")
_PUT_SILENCE: Final = _upsert("silences", *Silence.__struct_fields__)


async def put_state(session: Session, state: Mapping[str, bytes]) -> int:
    """Replace rows of `engine_state`; how many."""
    if state:
        await session.many(_PUT_STATE, sorted(state.items()))
    return len(state)


async def state(session: Session) -> dict[str, bytes]:
    """All rows of `engine_state`."""
    return dict(await session.rows("SELECT name, body FROM engine_state"))


async def put_endpoint(session: Session, name: str, state: bytes) -> int:
    """Replace an endpoint's state."""
    return await session.run(_PUT_ENDPOINT, name, state)


async def endpoints(session: Session) -> dict[str, bytes]:
    """State by endpoint name."""
    return dict(await session.rows("SELECT name, state FROM endpoints"))


async def put_silence(session: Session, silence: Silence) -> int:
    """Add or replace a silence."""
    return await session.run(_PUT_SILENCE, *to_row(silence))


async def delete_silence(session: Session, silence_id: str) -> int:
    """How many there were."""
    return await session.run("DELETE FROM silences WHERE id = ?", silence_id)


async def silences(session: Session) -> Sequence[Silence]:
    """All, oldest first."""
    found = await session.rows(f"SELECT {columns(Silence)} FROM silences ORDER BY created_ms, id")
    return from_rows(Silence, found)


async def load(session: Session) -> Memory:
    """Read all of it."""
    return Memory(
        state=await state(session),
        endpoints=await endpoints(session),
        silences={silence.id: silence for silence in await silences(session)},
    )


async def replace(session: Session, memory: Memory) -> None:
    """Write all of it, in place of what is there."""
    for table in ("engine_state", "endpoints", "silences"):
        await session.run(f"DELETE FROM {table}")
    await put_state(session, memory.state)
    for name, kept in memory.endpoints.items():
        await put_endpoint(session, name, kept)
    for silence in memory.silences.values():
        await put_silence(session, silence)
