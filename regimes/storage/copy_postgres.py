"""Our tables of a PostgreSQL database as one file, and back, by PostgreSQL's own tools."""

import asyncio
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from regimes.errors import StorageError
from regimes.storage import migrate, servers
from regimes.storage.postgres import PostgresStorage

MAGIC: Final = b"PGDMP"
_VARIABLES: Final = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "database": "PGDATABASE",
    "passfile": "PGPASSFILE",
    "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
_CREATES: Final = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)")
_COPIED_VERSION: Final = re.compile(r"^(\d+)\t", re.MULTILINE)
_OTHERS: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'regimes' "
    "AND pid <> pg_backend_pid()"
)
_PRESENT: Final = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"


class Found(msgspec.Struct, frozen=True):
    """What is at the place of a database. schema: where new tables go. version: 0 where there are none of ours."""

    schema: str
    tables: Sequence[str]
    version: int
    in_use: bool


class PostgresTools:
    """`pg_dump`, `pg_restore` and `psql` on one database. environ: of the process; the tools are looked for in its PATH."""

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        self._storage = PostgresStorage(url)
        self._environ = {**environ, **variables_of(url)}

    @property
    def place(self) -> str:
        """The database, without credentials."""
        return self._storage.place

    def look(self) -> Found:
        """Look at the database, changing nothing. Raises StorageError."""
        return asyncio.run(self._look())

    def back_up(self, to: Path) -> int:
        """Write our tables, as they are at one moment, to a new file; the version of their schema.

        The file appears under its name when it is whole. Raises StorageError.
        """
        found = self.look()
        if not found.version:
            raise StorageError(f"{self.place} holds nothing of this program yet: start `regimes run` once")
        part = to.with_name(f".{to.name}.part")
        wanted = [f"--table={_quoted(found.schema, table)}" for table in found.tables]
        try:
            part.touch(mode=0o600)
            self._run(
                "pg_dump", "--format=custom", "--no-owner", "--no-privileges", *wanted, f"--file={part}"
            )
            part.rename(to)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
        return found.version

    def version_of(self, copy: Path) -> int:
        """Version of the schema in a copy. Raises StorageError where it is damaged or none of ours."""
        rows = self._run("pg_restore", "--data-only", "--table=schema_version", "--file=-", str(copy))
        versions = [int(number) for number in _COPIED_VERSION.findall(rows)]
        if not versions:
            raise StorageError(f"{copy} is a dump of PostgreSQL, but none of this program")
        return max(versions)

    def restore(self, copy: Path, schema: str) -> None:
        """Put the tables of a copy in the place of ours, in one transaction. Raises StorageError."""
        drop = "; ".join(f"DROP TABLE IF EXISTS {_quoted(schema, table)}" for table in known_tables())
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=copy.parent) as folder:
            # As a file, because from a pipe that breaks half of it would be taken.
            script = Path(folder) / "script.sql"
            self._run("pg_restore", "--no-owner", "--no-privileges", f"--file={script}", str(copy))
            self._run(
                "psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1",
                "--output=/dev/null", f"--command={drop}", f"--file={script}",
            )  # fmt: skip

    async def _look(self) -> Found:
        async with self._storage.connected() as connection:
            schema = await connection.fetchval("SELECT current_schema()")
            if schema is None:
                raise StorageError(
                    f"{self.place} has no schema to use: create the one that search_path names"
                )
            present = {row[0] for row in await connection.fetch(_PRESENT)}
            return Found(
                schema=schema,
                tables=[table for table in known_tables() if table in present],
                version=await _version(connection, present),
                in_use=bool(await connection.fetchval(_OTHERS)),
            )

    def _run(self, tool: str, *arguments: str) -> str:
        program = shutil.which(tool, path=self._environ.get("PATH"))
        if program is None:
            raise StorageError(
                f"{tool} is not installed: install PostgreSQL's client programs (Debian: postgresql-client) "
                "of the server's version"
            )
        done = subprocess.run(  # noqa: S603  # a fixed program, without a shell
            [program, *arguments], env=self._environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            words = " ".join(done.stderr.split())[-400:]
            raise StorageError(f"{tool} on {self.place} failed: {words}")
        return done.stdout


def known_tables() -> Sequence[str]:
    """Every table that this release knows."""
    made = [name for step in migrate.shipped() for text in step.statements for name in _CREATES.findall(text)]
    return ["schema_version", *made]


def variables_of(url: str) -> dict[str, str]:
    """A DB_URL as the variables that PostgreSQL's tools read: unlike arguments, nobody else can see them."""
    parts = urlsplit(url)
    given = {
        **_address(url),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "dbname": unquote(parts.path.strip("/")),
        **dict(parse_qsl(parts.query)),
    }
    found = {_VARIABLES[name]: value for name, value in given.items() if name in _VARIABLES and value}
    asked = [f"-c {name}={_escaped(value)}" for name, value in given.items() if name not in _VARIABLES]
    return {**found, **({"PGOPTIONS": " ".join(asked)} if asked else {}), "PGAPPNAME": "regimes backup"}


def _address(url: str) -> Mapping[str, str]:
    found = servers.target(url)
    if len(found.servers) == 1:
        parts = urlsplit(url)
        return {"host": parts.hostname or "", "port": str(parts.port or "")}
    return {
        "host": ",".join(host.strip("[]") for host, _ in found.servers),
        "port": ",".join(str(port) for _, port in found.servers),
        "target_session_attrs": found.attributes,
    }


async def _version(connection: Any, present: set[str]) -> int:
    if "schema_version" not in present:
        return 0
    return int(await connection.fetchval("SELECT coalesce(max(version), 0) FROM schema_version"))


def _quoted(*names: str) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
