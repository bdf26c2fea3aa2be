"""`regimes check-config`: what is in effect, where it came from, and what the start will cost."""

import json
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, SecretStr
from rich.table import Table
from rich.text import Text

from regimes.commands.endpoints import NONE_CONFIGURED, checked
from regimes.commands.output import console, rows_table
from regimes.config import Settings
from regimes.config.features import installed
from regimes.config.load import leaves
from regimes.config.settings import DEFAULT
from regimes.config.sources import shipped_config
from regimes.delivery.endpoints import Endpoint, Kind
from regimes.engine import Engine
from regimes.pipeline.basis import feature_settings
from regimes.redact import MASK
from regimes.storage.factory import database_for
from regimes.storage.postgres import PostgresStorage
from regimes.timeframe import DAY_MS, to_ms

# Resident memory of `run` on Python 3.11 with no symbol, and what each symbol adds: 212 MB with 3, 233 MB with 60.
BASE_MB: Final = 210.0
MB_A_SYMBOL: Final = 0.4
# Rows one REST request brings, and its weight (Binance USD-M: klines 1,000 rows weigh 5).
ROWS_A_REQUEST: Final = 1000
WEIGHT_A_REQUEST: Final = 5


def execute(settings: Settings) -> None:
    """Print the settings, where alerts are kept and go, and the estimates. Raises ConfigError."""
    kept, endpoints = database(settings), checked(settings)
    shown = console()
    shown.print(_values(settings))
    shown.print(f"\nDatabase: {kept}", highlight=False, markup=False)
    shown.print(_endpoints(endpoints, settings) if endpoints else f"Endpoints: {NONE_CONFIGURED}")
    for line in estimates(settings):
        shown.print(Text(line))


def _values(settings: Settings) -> Table:
    table = Table("setting", "value", "from", title="Settings in effect", title_justify="left")
    shipped = str(shipped_config())
    for path, field in leaves(type(settings)):
        origin, value = settings.origin(path), value_of(settings, path)
        if origin.place == shipped and value == field.get_default(
            call_default_factory=True, validated_data={}
        ):
            origin = DEFAULT
        table.add_row(*map(Text, (path, shown(value), str(origin))), style="" if origin.name else "dim")
    return table


def database(settings: Settings) -> str:
    """Which database, without its credentials. Raises ConfigError."""
    found = database_for(settings.storage.url.get_secret_value())
    is_server = isinstance(found, PostgresStorage)
    return f"{found.place}, while it is away {settings.storage.spool}" if is_server else found.place


def _endpoints(endpoints: Sequence[Endpoint], settings: Settings) -> Table:
    table = rows_table("endpoint", "kind", "gets", "from", "signed", title="Endpoints", whole=("endpoint",))
    for endpoint in endpoints:
        is_signed = endpoint.kind is Kind.HTTP and settings.delivery.webhook_secret is not None
        gets = ", ".join(sorted(endpoint.routes))
        signed = "yes" if is_signed else "no"
        table.add_row(endpoint.name, endpoint.kind.value, gets, settings.alerting.minimum_severity, signed)
    return table


def value_of(settings: BaseModel, path: str) -> Any:
    """Return the value of a dotted key."""
    value: Any = settings
    for part in path.split("."):
        value = getattr(value, part)
    return value


def shown(value: object) -> str:
    """Return a value as it would stand in the file; a secret is masked, none is a dash."""
    match value:
        case None:
            return "-"
        case SecretStr():
            return MASK
        case tuple() | bool() | int() | float():
            return json.dumps(value)
        case _:
            return str(value)


def estimates(settings: Settings) -> Sequence[str]:
    """Say what the warm-up fetches, how long that takes within the weight budget, and how much memory is needed."""
    needs = Engine.build(installed(), settings.universe(), feature_settings(settings)).needs()
    symbols = sum(_count(symbol) for symbol in settings.symbols)
    lines = [f"\nWarm-up for {symbols} symbol{'s' if symbols != 1 else ''}:"]
    weight = 0
    for need in needs:
        rows = need.span_ms // to_ms(need.timeframe) if need.timeframe else need.span_ms // (DAY_MS // 3)
        requests = -(-rows // ROWS_A_REQUEST) * min(symbols, need.symbols or symbols)
        weight += requests * WEIGHT_A_REQUEST
        what = f"{need.kind} {need.timeframe or ''}".strip()
        lines.append(
            f"  {what}: {need.span_ms / DAY_MS:.0f} days, about {rows:,} rows a symbol, {requests:,} requests"
        )
    minutes = weight / settings.venues.rest_weight_per_minute
    lines.append(
        f"  at most {minutes:.1f} min at {settings.venues.rest_weight_per_minute:,} weight a minute; less with a filled cache"
    )
    lines.append(f"Memory: about {BASE_MB + MB_A_SYMBOL * symbols:.0f} MB")
    return lines


def _count(symbol: str) -> int:
    """How many symbols an entry stands for: one, or N for `top:N`."""
    return int(symbol.removeprefix("top:")) if symbol.startswith("top:") else 1
