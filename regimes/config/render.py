"""config/regimes.toml, docs/configuration.md and docs/event.schema.json, written from what they describe."""

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from regimes.config.load import choices_of, holds_secret, leaves
from regimes.config.settings import settings_type
from regimes.config.sources import CONFIG_VARIABLE, PREFIX, VARIABLES
from regimes.events import event_schema

_ROOT: Final = Path(__file__).parent.parent.parent
TOML_PATH: Final = _ROOT / "config" / "regimes.toml"
DOCS_PATH: Final = _ROOT / "docs" / "configuration.md"
SCHEMA_PATH: Final = _ROOT / "docs" / "event.schema.json"
_KNOWN_AS: Final = {path: name for name, path in VARIABLES.items()}
_BOUNDS: Final = {
    "gt": ">",
    "ge": ">=",
    "lt": "<",
    "le": "<=",
    "min_length": "at least",
    "max_length": "at most",
}


def toml() -> str:
    """Return the configuration file: every key with its default, its rule, and what it does."""
    lines = [
        "# Settings of regimes. Every key is here with its default; a key taken out means the same default.",
        "# .env and environment variables are stronger: REGIMES__SECTION__KEY for any key, see docs/configuration.md.",
        "",
    ]
    for name, field in settings_type().model_fields.items():
        section = _section(field)
        if section is None:
            lines += [*_toml_key(name, field), ""]
        else:
            lines += ["", *_comment(_first_line(section)), f"[{name}]"]
            for key, inner in section.model_fields.items():
                lines += [*_toml_key(key, inner), ""]
    return "\n".join(lines).rstrip() + "\n"


def docs() -> str:
    """Return the reference of all settings in Markdown, a heading each."""
    lines = [_INTRODUCTION, *_well_known(), ""]
    for name, field in settings_type().model_fields.items():
        section = _section(field)
        if section is None:
            lines += _docs_key(name, field)
        else:
            lines += [f"## [{name}]", "", _first_line(section), ""]
            for key, inner in section.model_fields.items():
                lines += _docs_key(f"{name}.{key}", inner)
    return "\n".join(lines).rstrip() + "\n"


def schema() -> str:
    """Return the JSON Schema of an event as it is published."""
    return json.dumps(event_schema(), indent=2, ensure_ascii=False) + "\n"


def _well_known() -> Iterator[str]:
    """A table of the variables with names of their own."""
    fields = dict(leaves(settings_type()))
    yield "## Well-known variables"
    yield ""
    yield "| variable | setting | what |"
    yield "|---|---|---|"
    for name, path in VARIABLES.items():
        secret = f" (or `{name}_FILE`)" if holds_secret(fields[path]) else ""
        what = (fields[path].description or "").strip()
        yield f"| `{name}`{secret} | [{path}](#{path.replace('.', '')}) | {what} |"
    yield f"| `{CONFIG_VARIABLE}` | | Configuration file to read, as `--config` names it. |"


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _first_line(section: type[BaseModel]) -> str:
    return (section.__doc__ or "").strip().splitlines()[0]


def _toml_key(name: str, field: FieldInfo) -> Iterator[str]:
    yield from _comment(_sentence(field))
    value = _default(field)
    # A secret belongs elsewhere, and TOML has no word for "none": both are shown as comments.
    mark = "# " if value is None or holds_secret(field) else ""
    yield f"{mark}{name} = {_toml_value('' if value is None else value)}"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, 100)]


def _sentence(field: FieldInfo) -> str:
    rule = rule_of(field)
    return _words(field) + (f" Rule: {rule}." if rule else "")


def _words(field: FieldInfo) -> str:
    """What a setting says about itself, as sentences."""
    text = (field.description or "").strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def rule_of(field: FieldInfo) -> str:
    """The bounds or choices of a setting in a few signs, such as `> 0, <= 60`."""
    choices = choices_of(field)
    if choices:
        return "one of " + ", ".join(choice or '""' for choice in choices)
    bounds = [
        f"{sign} {getattr(mark, name):g}" + (" entry" if name.endswith("length") else "")
        for mark in field.metadata
        for name, sign in _BOUNDS.items()
        if getattr(mark, name, None) is not None
    ]
    return ", ".join(bounds)


def _default(field: FieldInfo) -> Any:
    """The default; that of a secret setting is public too."""
    value = field.get_default(call_default_factory=True, validated_data={})
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _toml_value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case tuple() | list():
            return "[" + ", ".join(_toml_value(item) for item in value) + "]"
        case _:
            return json.dumps(str(value), ensure_ascii=False)


def _docs_key(path: str, field: FieldInfo) -> list[str]:
    value = _default(field)
    shown = "none" if value is None else f"`{_toml_value(value)}`"
    variable = PREFIX + path.upper().replace(".", "__")
    names = [f"`{name}`" for name in (_KNOWN_AS.get(path), variable) if name]
    if holds_secret(field):
        names += [name[:-1] + "_FILE`" for name in names]
    rule = rule_of(field)
    return [
        f"### {path}",
        "",
        _words(field),
        "",
        f"Default: {shown}." + (f" Rule: {rule}." if rule else ""),
        f"Environment: {', '.join(names)}.",
        "",
    ]


_INTRODUCTION: Final = """\
# Configuration

Every setting has a default, so the program runs without any configuration. A value is taken from the strongest
source that gives it:

1. environment variables,
2. `.env` in the folder the program is started in,
3. one TOML file: the one named by `--config` or `REGIMES_CONFIG`, else `./config/regimes.toml`, else the one that
   comes with the program,
4. the default.

Any key can be given as `REGIMES__SECTION__KEY`, for example `REGIMES__FUNDING__ANOMALY_Z_THRESHOLD=2.5`; keys outside a
section as `REGIMES__KEY`, for example `REGIMES__SYMBOLS=BTC/USDT,ETH/USDT`. Lists are separated by commas. A secret can also be
read from a file: put the file's path into `NAME_FILE`.

An unknown key or a wrong value stops the start with exit code 2, and all mistakes are named together. Names in `.env` or the
environment that belong to other programs are left alone. `regimes check-config` prints the values in effect and where each
came from.

This page is written from the settings themselves by `python -m regimes.config`.
"""
