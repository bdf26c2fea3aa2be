"""Where settings come from: one TOML file, `.env`, the environment; each value with its place and name."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from dotenv import dotenv_values
from dotenv.parser import parse_stream

from regimes.config.settings import Origin
from regimes.delivery.settings import ROUTES
from regimes.errors import ConfigError

PREFIX: Final = "REGIMES__"
CONFIG_VARIABLE: Final = "REGIMES_CONFIG"
# The names people know, and the setting each stands for.
VARIABLES: Final = {
    "BINANCE_API_KEY": "venues.api_key",
    "BINANCE_SECRET": "venues.secret",
    "DB_URL": "storage.url",
    **{f"WEBHOOKS_{route}": f"delivery.webhooks_{route.lower()}" for route in ROUTES},
    "WEBHOOK_SECRET": "delivery.webhook_secret",
    "DASHBOARD_TOKEN": "web.token",
    "PORT": "web.port",
    "OPENAI_API_KEY": "narrative.api_key",
    "OPENAI_BASE_URL": "narrative.base_url",
    "LOG_LEVEL": "log.level",
    "LOG_FILE": "log.file",
}
_PACKAGE: Final = Path(__file__).parent.parent


class Given(msgspec.Struct, frozen=True):
    """One value somebody gave. from_text: it is text from a variable and has to be read as the setting's type."""

    path: str
    value: Any
    origin: Origin
    from_text: bool


def shipped_config(name: str = "regimes.toml") -> Path:
    """Return a file of config/ of this installation: inside the wheel, or in the checkout."""
    in_wheel = _PACKAGE / "_shipped" / "config" / name
    return in_wheel if in_wheel.exists() else _PACKAGE.parent / "config" / name


def find_config(explicit: Path | None, environ: Mapping[str, str], folder: Path) -> Path:
    """Choose the configuration file: --config, REGIMES_CONFIG, ./config/regimes.toml, the shipped one.

    Raises ConfigError when a file that was named does not exist.
    """
    named = explicit or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    if named is None:
        local = folder / "config" / "regimes.toml"
        return local if local.exists() else shipped_config()
    if not named.is_file():
        by = "--config" if explicit else CONFIG_VARIABLE
        raise ConfigError(f"{by}: {named} is not a file; name an existing configuration file")
    return named


def from_toml(path: Path) -> Iterator[Given]:
    """Read a TOML file into dotted keys. Raises ConfigError when it is not readable as TOML."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}; correct that line") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    for key, value in tables.items():
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                yield Given(f"{key}.{name}", inner, Origin(str(path), f"{key}.{name}"), from_text=False)
        else:
            yield Given(key, value, Origin(str(path), key), from_text=False)


def dotenv(path: Path) -> Mapping[str, str]:
    """Read the variables of a `.env` file; none where there is none. Raises ConfigError for a line that is no variable."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8") as lines:
        wrong = [line.original for line in parse_stream(lines) if line.error]
    if wrong:
        raise ConfigError(f"{path}: line {wrong[0].line} is not NAME=value; correct it, or put # before it")
    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def from_variables(variables: Mapping[str, str], place: str, secret_paths: frozenset[str]) -> Iterator[Given]:
    """Read the well-known names, then any `REGIMES__SECTION__KEY`, which wins; secrets also as NAME_FILE."""
    for name, path in VARIABLES.items():
        yield from _variable(variables, name, path, place, secret=path in secret_paths)
    for name in variables:
        if name.startswith(PREFIX):
            path = name.removeprefix(PREFIX).lower().replace("__", ".")
            if path.removesuffix("_file") in secret_paths and path not in secret_paths:
                continue  # read with its secret
            yield from _variable(variables, name, path, place, secret=path in secret_paths, keep_empty=True)
    for path in sorted(secret_paths):
        name = PREFIX + path.upper().replace(".", "__")
        if name not in variables:
            yield from _variable(variables, name, path, place, secret=True)


def _variable(
    variables: Mapping[str, str], name: str, path: str, place: str, *, secret: bool, keep_empty: bool = False
) -> Iterator[Given]:
    in_file = f"{name}_FILE" if secret else ""
    if variables.get(in_file):
        if variables.get(name):
            raise ConfigError(f"{place}: {name} and {in_file} are both set; keep one of them")
        yield Given(
            path, _secret_file(variables[in_file], place, in_file), Origin(place, in_file), from_text=True
        )
    elif name in variables and (variables[name] or keep_empty):
        yield Given(path, variables[name], Origin(place, name), from_text=True)


def _secret_file(path: str, place: str, name: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(
            f"{place}: {name} = {path} cannot be read ({why}); name a readable file that holds the secret"
        ) from error


def environment() -> Mapping[str, str]:
    """Return the process's environment; nothing else in the package reads it."""
    return os.environ
