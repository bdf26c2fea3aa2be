"""From sources to settings: the strongest source wins, and every mistake is named at once."""

import difflib
import json
import math
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from regimes.config import sources
from regimes.config.settings import Origin, Settings, settings_type
from regimes.config.sources import Given
from regimes.errors import ConfigError


def load(
    config: Path | None = None, *, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> Settings:
    """Read settings: environment over `.env` over the TOML file over defaults.

    config: the TOML file; without it REGIMES_CONFIG, ./config/regimes.toml, or the shipped one. environ and
    folder: the environment and working folder to use instead of the process's own.
    Raises ConfigError that names every mistake: file or variable, key, value, rule, remedy.
    """
    environ = sources.environment() if environ is None else environ
    folder = folder or Path.cwd()
    kind = settings_type()
    fields = dict(leaves(kind))
    secrets = frozenset(path for path, field in fields.items() if holds_secret(field))
    given = {value.path: value for value in sources.from_toml(sources.find_config(config, environ, folder))}
    problems: list[str] = []
    dotenv = folder / ".env"
    for place, variables in ((str(dotenv), sources.dotenv(dotenv)), ("environment", environ)):
        given.update({value.path: value for value in sources.from_variables(variables, place, secrets)})
        problems += _misspelt(variables, place, fields)
    return _build(kind, fields, given, problems)


def leaves(kind: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting of a model as a dotted key, in the order of the file."""
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaves(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def holds_secret(field: FieldInfo) -> bool:
    """Whether a setting's value must not be shown."""
    return field.annotation is SecretStr or SecretStr in get_args(field.annotation)


def _misspelt(variables: Mapping[str, str], place: str, fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    """Variables that are surely meant for us and name no setting."""
    meant = {path.upper().replace(".", "_"): _variable_of(path) for path in fields}
    for name in variables:
        near: Iterable[str] = ()
        if name.startswith("WEBHOOKS_"):
            if name.removesuffix("_FILE") in sources.VARIABLES:
                continue
            near = difflib.get_close_matches(name, sources.VARIABLES, n=1) or ["WEBHOOKS_ALL"]
        elif name.startswith("REGIMES_") and not name.startswith(sources.PREFIX):
            rest = name.removeprefix("REGIMES_")
            near = [meant[spelt]] if (spelt := rest.replace("__", "_")) in meant else ()
            if not near and "__" not in rest:
                continue  # not a name of a setting in any spelling
        else:
            continue
        hint = (
            f"did you mean {next(iter(near))}?" if near else f"names of settings begin with {sources.PREFIX}"
        )
        yield f"{place}: {name}: there is no such setting; {hint}"


def _build(
    kind: type[Settings], fields: dict[str, FieldInfo], given: Mapping[str, Given], problems: list[str]
) -> Settings:
    tables: dict[str, Any] = {}
    sections = {path.rpartition(".")[0] for path in fields} - {""}
    for path, value in given.items():
        if path in sections and value.value == {}:
            continue  # a section with all its keys taken out
        field = fields.get(path)
        if field is None:
            problems.append(_unknown(value, fields, sections))
            continue
        found = list(_problems(value, field))
        problems.extend(found)
        if not found:
            _place(tables, path, _read(value, field))
    try:
        settings = kind.model_validate(tables)
    except ValidationError as error:
        problems.extend(_across(detail, given) for detail in error.errors(include_url=False))
    if problems:
        raise ConfigError("\n".join(problems))
    settings._origins.update({path: value.origin for path, value in given.items()})  # noqa: SLF001  # our own
    return settings


def _place(tables: dict[str, Any], path: str, value: object) -> None:
    section, _, key = path.rpartition(".")
    (tables.setdefault(section, {}) if section else tables)[key] = value


def _read(given: Given, field: FieldInfo) -> Any:
    """Text from a variable as what the setting holds: a list is JSON or separated by commas."""
    if not (given.from_text and _is_list(field)):
        return given.value
    text = given.value.strip()
    if text.startswith("["):
        return json.loads(text)
    return [part.strip() for part in text.split(",") if part.strip()]


def _is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) in {tuple, list, set, frozenset}


def _problems(given: Given, field: FieldInfo) -> Iterator[str]:
    """Check one value by its own rule: a file's value strictly by type, a variable's after reading its text."""
    try:
        value = _read(given, field)
        checker = TypeAdapter(field.rebuild_annotation())
        if given.from_text:
            found = checker.validate_python(value)
        else:
            found = checker.validate_json(json.dumps(value, default=str), strict=True)
        if isinstance(found, float) and not math.isfinite(found):
            yield _words(given, value, "input should be a finite number", _remedy(value, field))
    except json.JSONDecodeError as error:
        yield _words(given, given.value, f"not valid JSON ({error})", "write a,b,c")
    except ValidationError as error:
        details = error.errors(include_url=False)
        # Where an entry of a list is wrong, what is then said about the whole list is no help.
        for detail in [deeper for deeper in details if deeper["loc"]] or details:
            value = "***" if holds_secret(field) else detail["input"]
            yield _words(given, value, _rule(detail), _remedy(detail["input"], field))


def _words(given: Given, value: object, rule: str, remedy: str = "") -> str:
    shown = json.dumps(value, default=str, ensure_ascii=False)
    return f"{given.origin} = {shown}: {rule}" + (f"; {remedy}" if remedy else "")


def _rule(detail: ErrorDetails) -> str:
    if detail["type"] == "too_short":
        return f"there should be at least {detail['ctx']['min_length']}"
    message = detail["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _remedy(value: object, field: FieldInfo) -> str:
    choices = choices_of(field)
    if choices and isinstance(value, str):
        near = difflib.get_close_matches(value.lower(), {c.lower(): c for c in choices}, n=1)
        if near:
            return f"did you mean {next(c for c in choices if c.lower() == near[0])!r}?"
    default = field.get_default(call_default_factory=True, validated_data={})
    return (
        ""
        if default is None or isinstance(default, SecretStr)
        else f"the default is {json.dumps(default, default=str)}"
    )


def choices_of(field: FieldInfo) -> list[str]:
    """The words a setting may be, when it is one of a few."""
    kinds: Iterable[Any] = [field.annotation]
    if get_origin(field.annotation) in {Union, types.UnionType}:
        kinds = get_args(field.annotation)
    return [str(word) for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]


def _unknown(given: Given, fields: Mapping[str, FieldInfo], sections: set[str]) -> str:
    section, _, key = given.path.rpartition(".")
    if given.path in sections:
        return f"{given.origin}: [{given.path}] is a section; write its keys below that line"
    if not section and isinstance(given.value, dict):
        section = key
    if section and section not in sections:
        near = difflib.get_close_matches(section, sections, n=1)
        hint = f"did you mean [{near[0]}]?" if near else f"sections: {', '.join(sorted(sections))}"
        return f"{given.origin}: there is no section [{section}]; {hint}"
    known = [path for path in fields if path.rpartition(".")[0] == section]
    near = difflib.get_close_matches(given.path, known, n=1) or _elsewhere(key, fields)
    hint = (
        f"did you mean {_as_written(near[0], given.origin)}?"
        if near
        else "take it out; `regimes check-config` lists every key"
    )
    return f"{given.origin}: there is no such setting; {hint}"


def _elsewhere(key: str, fields: Mapping[str, FieldInfo]) -> list[str]:
    return [path for path in fields if path.rpartition(".")[2] == key]


def _as_written(path: str, origin: Origin) -> str:
    return _variable_of(path) if origin.name.startswith(sources.PREFIX) else path


def _variable_of(path: str) -> str:
    return sources.PREFIX + path.upper().replace(".", "__")


def _across(detail: ErrorDetails, given: Mapping[str, Given]) -> str:
    """Words for a rule of a section, of one setting or of several together."""
    path = ".".join(str(part) for part in detail["loc"])
    if path in given:
        return f"{given[path].origin}: {_rule(detail)}"
    set_here = [str(value.origin) for key, value in given.items() if not path or key.startswith(f"{path}.")]
    where = ", ".join(set_here) or path or "settings"
    return f"{where}: {_rule(detail)}" if not path else f"[{path}] ({where}): {_rule(detail)}"
