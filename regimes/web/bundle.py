"""Modules of a page that are loaded together, sent as one file: on a phone each file more costs time before the first paint.

Each module keeps its own scope inside the file, and its own address: there stand its exports, taken from the file that
holds it, so that a module exists once however it is asked for.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

TOGETHER: Final[Mapping[str, tuple[str, ...]]] = {
    "bar": ("bar", "cards", "waiting", "dialog"),
    "event-detail": ("event-detail",),
    "dashboard": ("dashboard", "events", "grids"),
    "realtime": ("realtime",),
    "deliveries": ("deliveries",),
    "chart": ("chart",),
    "score": ("score",),
}
"""Files, by name, and what they hold with all that it imports and no earlier file holds."""
ALONE: Final = frozenset({"line-worker"})
"""Files that run outside the page and share nothing with it."""
_IMPORT: Final = re.compile(
    r'^import \{ (?P<names>[^}]+) \} from "\./(?P<module>[\w-]+)\.js";$', re.MULTILINE
)
_EXPORT: Final = re.compile(
    r"^export (?P<rest>(?:async )?(?:const|function|class) (?P<name>\w+))", re.MULTILINE
)


class Bundles:
    """How the modules of a folder are put together. sources: by name, as they are when it is planned."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._holds: dict[str, tuple[str, ...]] = {}
        self._holder: dict[str, str] = {}
        for name, wanted in TOGETHER.items():
            if all(module in sources for module in wanted):
                held = [module for module in _closure(wanted, sources) if module not in self._holder]
                self._holds[name] = tuple(held)
                self._holder.update(dict.fromkeys(held, name))
        for name in ALONE & sources.keys():
            self._holds[name] = tuple(_closure([name], sources))

    def parts(self, name: str) -> tuple[str, ...]:
        """The modules whose text the file of this name is made of."""
        return self._holds.get(name, (name,))

    def text(self, name: str, sources: Mapping[str, str]) -> str:
        """The file of this name. sources: the text of its `parts`."""
        if name in self._holds:
            return self._together(name, sources)
        if name in self._holder:
            return f'import {{ {_scope(name)} }} from "./{self._holder[name]}.js";\n{_exports(name, sources)}'
        return sources[name]

    def _together(self, name: str, sources: Mapping[str, str]) -> str:
        held = self._holds[name]
        foreign: dict[str, set[str]] = {}
        for module in held:
            for other in _imports(sources[module]):
                if other not in held:
                    foreign.setdefault(self._holder[other], set()).add(_scope(other))
        head = [
            f'import {{ {", ".join(sorted(scopes))} }} from "./{holder}.js";'
            for holder, scopes in sorted(foreign.items())
        ]
        body = [_closed(module, sources[module]) for module in held]
        scopes = f"export {{ {', '.join(map(_scope, held))} }};"
        return "\n".join([*head, *body, scopes, _exports(name, sources)])


def _imports(source: str) -> list[str]:
    return [found["module"] for found in _IMPORT.finditer(source)]


def _closure(wanted: Iterable[str], sources: Mapping[str, str]) -> list[str]:
    """These modules and all they import, each after what it needs."""
    found: dict[str, None] = {}

    def visit(module: str) -> None:
        if module not in found:
            for other in _imports(sources[module]):
                visit(other)
            found[module] = None

    for module in wanted:
        visit(module)
    return list(found)


def _scope(module: str) -> str:
    return f"${module.replace('-', '_')}"


def _names(source: str) -> str:
    return ", ".join(found["name"] for found in _EXPORT.finditer(source))


def _exports(module: str, sources: Mapping[str, str]) -> str:
    names = _names(sources[module])
    return f"export const {{ {names} }} = {_scope(module)};\n" if names else ""


def _closed(module: str, source: str) -> str:
    """A module as a scope of its own: what it imports comes from other scopes, what it exports is answered."""

    def taken(found: re.Match[str]) -> str:
        return f"const {{ {found['names'].replace(' as ', ': ')} }} = {_scope(found['module'])};"

    inside = _EXPORT.sub(lambda found: found["rest"], _IMPORT.sub(taken, source))
    return f"const {_scope(module)} = (() => {{\n{inside}\nreturn {{ {_names(source)} }};\n}})();"
