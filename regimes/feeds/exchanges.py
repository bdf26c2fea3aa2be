"""ccxt.pro with the exchanges that are used here; others are imported when somebody asks for them.

Its packages import more than a hundred, which costs 60 MB and a good part of the start.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Final

USED: Final = frozenset({"binance", "binanceus", "binanceusdm"})
_PACKAGES: Final = ("ccxt", "ccxt.async_support", "ccxt.pro")


class _LeftOut(MetaPathFinder, Loader):
    """Answers imports of exchanges that are not used with an empty module."""

    def __init__(self, names: frozenset[str]) -> None:
        self.made: list[str] = []
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Answer for the exchanges that are left out, and for nothing else."""
        del path, target
        package, _, name = fullname.rpartition(".")
        return ModuleSpec(fullname, self) if package in _PACKAGES and name in self._names else None

    def exec_module(self, module: ModuleType) -> None:
        """Give it the one name that its package asks for."""
        self.made.append(module.__name__)
        setattr(module, module.__name__.rpartition(".")[2], None)


@contextmanager
def _leaving_out(names: frozenset[str]) -> Iterator[None]:
    """Leave these exchanges out of imports; afterwards they can be had, one by one."""
    finder = _LeftOut(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for made in finder.made:
            package, _, name = made.rpartition(".")
            sys.modules.pop(made, None)
            vars(sys.modules[package]).pop(name, None)
        for package in _PACKAGES:
            if package in sys.modules:
                vars(sys.modules[package])["__getattr__"] = partial(_on_demand, package, names)


def _on_demand(package: str, names: frozenset[str], name: str) -> Any:
    """An exchange that was left out, as an attribute of its package (PEP 562)."""
    if name not in names:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    module = import_module(f"{package}.{name}")
    found = vars(sys.modules[package])[name] = vars(module)[name]
    return found


def load() -> Any:
    """Import ccxt.pro, unless somebody has imported all of it already."""
    if "ccxt" in sys.modules:
        return import_module("ccxt.pro")
    with _leaving_out(_all() - USED):
        return import_module("ccxt.pro")


def _all() -> frozenset[str]:
    """Every exchange that ccxt has: each has its list of requests in one folder."""
    found = find_spec("ccxt")
    folders = [] if found is None else found.submodule_search_locations or []
    return frozenset(path.stem for folder in folders for path in Path(folder, "abstract").glob("*.py"))


pro: Final[Any] = load()
"""ccxt.pro."""
