"""Where a DB_URL leads: to one PostgreSQL server, or to the first of several that takes writes."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import asyncpg

from regimes.errors import ConfigError

MadeT = TypeVar("MadeT")
Way: TypeAlias = Mapping[str, Any]
"""What asyncpg must be told to get to one server."""
WRITES: Final = "read-write"
_HOST: Final = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]*)(?::(\d+))?")
_NEXT: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
)
"""What one server may say, or not say, while another serves. A wrong password is none of it."""


class Server(NamedTuple):
    """Host name, address or folder of a socket, and port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Target(NamedTuple):
    """What a DB_URL says of servers and database. attributes: `target_session_attrs`, which of several will do."""

    servers: Sequence[Server]
    database: str
    attributes: str

    @property
    def place(self) -> str:
        """The database by name, without credentials."""
        return f"PostgreSQL database {self.database} at {', '.join(map(str, self.servers))}"


def target(url: str) -> Target:
    """Read a DB_URL. Raises ConfigError, whose text has no credentials."""
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        servers = _servers(parts, query)
        database = parts.path.strip("/")
    except ValueError:
        database = ""
    if not database:
        raise ConfigError(
            "DB_URL must be postgresql://user:password@host:port/database, or with several servers @host:port,host:port/, "
            "with special characters of user and password percent-encoded"
        )
    several = len(servers) > 1
    return Target(servers, database, query.get("target_session_attrs") or (WRITES if several else ""))


def _servers(parts: SplitResult, query: Mapping[str, str]) -> Sequence[Server]:
    """Those before the path, else those of the parameters, as libpq reads both. Raises ValueError."""
    specs = (parts.netloc.rpartition("@")[2] or query.get("host", "localhost")).split(",")
    ports = query.get("port", "5432").split(",")
    if len(ports) not in {1, len(specs)} or (len(specs) > 1 and "" in specs):
        raise ValueError(specs)
    return [_server(spec, port) for spec, port in zip(specs, ports * (len(specs) // len(ports)), strict=True)]


def _server(spec: str, port: str) -> Server:
    found = _HOST.fullmatch(spec)
    if found is None:
        raise ValueError(spec)
    return Server(unquote(found[1]) or "localhost", int(found[2] or port))


def ways(url: str) -> Sequence[Way]:
    """One to each server, in the order of the URL. A single one is left to asyncpg, with all that it reads elsewhere."""
    servers, _, attributes = target(url)
    if len(servers) == 1:
        return [{"dsn": url}]
    return [
        {"dsn": url, "host": host.strip("[]"), "port": port, "target_session_attrs": attributes}
        for host, port in servers
    ]


async def first(url: str, connect: Callable[[Way], Awaitable[MadeT]]) -> tuple[Way, MadeT]:
    """Connect to the first server that will have us, each with as much time as `connect` takes; the way that led there.

    Raises what the last one said; that one takes no writes, before that others are not there.
    """
    failures: list[Exception] = []
    for way in ways(url):
        try:
            return way, await connect(way)
        except _NEXT as error:
            failures.append(error)
    raise next((e for e in failures if isinstance(e, asyncpg.TargetServerAttributeNotMatched)), failures[-1])
