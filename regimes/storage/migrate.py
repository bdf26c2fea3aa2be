"""Brings a database to the newest schema, one numbered step after another, all or nothing."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

import msgspec

from regimes.errors import StorageError
from regimes.storage.session import Session

LOCK: Final = 7_243_001
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)"
)


class Migration(msgspec.Struct, frozen=True):
    """One step of the schema."""

    version: int
    name: str
    statements: tuple[str, ...]


def shipped() -> Sequence[Migration]:
    """The steps that come with this release, in order."""
    folder = files("regimes.storage.migrations")
    scripts = sorted(
        (item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda item: item.name
    )
    return [_parse(item.name, item.read_text("utf-8")) for item in scripts]


async def migrate(session: Session, steps: Sequence[Migration], place: str) -> int:
    """Apply what is missing, inside the transaction of `session`; the version reached.

    Raises StorageError when the database was written by a newer release.
    """
    await session.queue(LOCK)
    await session.run(_TABLE)
    present = await version(session)
    newest = steps[-1].version
    if present > newest:
        raise StorageError(
            f"{place} has schema version {present}, newer than the {newest} this release knows: "
            "install the release that wrote it, or use another database"
        )
    for step in steps:
        if step.version > present:
            for statement in step.statements:
                await session.run(statement)
            await session.run(
                "INSERT INTO schema_version (version, name) VALUES (?, ?)", step.version, step.name
            )
    return newest


async def version(session: Session) -> int:
    """Version of the schema, 0 for an empty database."""
    found = await session.rows("SELECT coalesce(max(version), 0) FROM schema_version")
    return int(found[0][0])


def _parse(filename: str, text: str) -> Migration:
    number, _, name = filename.removesuffix(".sql").partition("_")
    lines = (line for line in text.splitlines() if not line.startswith("--"))
    statements = (part.strip() for part in "\n".join(lines).split(";"))
    return Migration(int(number), name, tuple(part for part in statements if part))
