"""A store that is one database: what SQLite and PostgreSQL have in common."""

from collections.abc import Sequence
from functools import partial

from regimes.storage import migrate, outbox
from regimes.storage.base import Delivery
from regimes.storage.changes import Change
from regimes.storage.store import Store


class Database(Store):
    """Changes and claims are transactions of their own. place: how errors name it, without credentials."""

    def __init__(self, place: str, migrations: Sequence[migrate.Migration] | None = None) -> None:
        super().__init__()
        self.place = place
        self.migrations = migrate.shipped() if migrations is None else migrations

    async def apply(self, change: Change) -> int:
        return await self.write(change.apply)

    async def claim(self, endpoint: str, *, now_ms: int, lease_ms: int, limit: int) -> Sequence[Delivery]:
        due = partial(outbox.claim, endpoint=endpoint, now_ms=now_ms, lease_ms=lease_ms, limit=limit)
        return await self.write(due)

    async def upgrade(self) -> None:
        """Bring the schema to the newest version."""
        await self.write(partial(migrate.migrate, steps=self.migrations, place=self.place))
