"""The core stays pure: no ambient time, no randomness, no input or output, no import of the shell."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "regimes"
# Rooms in the order of the house: each may import only itself and those before it.
ROOMS = [
    "errors",
    "observations",
    "events",
    "timeframe",
    "wording",
    "windows",
    "maths",
    "features",
    "intake",
    "package",
    "engine",
    "alerting",
    "clock",
    "redact",
    "logs",
    "feeds",
    "storage",
    "delivery",
    "history",
    "web",
    "narrative",
    "config",
    "pipeline",
    "study",
    "service",
    "commands",
    "cli",
]
SHELL_FROM = ROOMS.index("clock")
CORE = ROOMS[:SHELL_FROM]
BANNED = {
    "asyncio",
    "time",
    "random",
    "logging",
    "structlog",
    "ccxt",
    "aiohttp",
    "os",
    "socket",
    "threading",
    "secrets",
    "uuid",
}
BANNED_CALLS = {"now", "utcnow", "today", "getenv", "open", "print", "default_rng"}


def modules(room: str) -> list[Path]:
    folder = PACKAGE / room
    return (
        sorted(folder.rglob("*.py"))
        if folder.is_dir()
        else [p for p in [PACKAGE / f"{room}.py"] if p.exists()]
    )


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


CORE_FILES = [p for room in CORE for p in modules(room)]
ALL_FILES = [(room, p) for room in ROOMS for p in modules(room)]


@pytest.mark.parametrize("path", CORE_FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_core_module_reads_no_ambient_time_and_touches_nothing_outside(path: Path) -> None:
    tree = ast.parse(path.read_text())
    roots = {name.split(".")[0] for name in imported(tree)}
    assert not roots & BANNED, f"{path} imports {roots & BANNED}"
    calls = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    }
    assert not calls & BANNED_CALLS, f"{path} calls {calls & BANNED_CALLS}"


@pytest.mark.parametrize(("room", "path"), ALL_FILES, ids=lambda v: v.name if isinstance(v, Path) else v)
def test_each_room_imports_only_rooms_before_it(room: str, path: Path) -> None:
    allowed = set(ROOMS[: ROOMS.index(room) + 1]) | {"__version__"}
    for name in imported(ast.parse(path.read_text())):
        parts = name.split(".")
        if parts[0] == "regimes" and len(parts) > 1:
            assert parts[1] in allowed, f"{path} ({room}) imports {name}"


def test_no_feature_imports_another() -> None:
    shared = {"base", "deferred", "foresight", "latch", "hourly", "pieces"}
    for path in modules("features"):
        for name in imported(ast.parse(path.read_text())):
            parts = name.split(".")
            if parts[:2] == ["regimes", "features"] and len(parts) > 2 and path.stem != "__init__":
                ours = path.relative_to(PACKAGE / "features").parts[0].removesuffix(".py")
                assert parts[2] in shared | {ours}, f"{path} imports {name}"


def test_only_the_clock_imports_time() -> None:
    users = [p.name for p in PACKAGE.rglob("*.py") if "time" in imported(ast.parse(p.read_text()))]
    assert users == ["clock.py"]


def test_every_module_has_a_room() -> None:
    known = set(ROOMS) | {"__init__", "__main__", "_shipped"}
    found = {p.stem if p.is_file() else p.name for p in PACKAGE.iterdir() if p.suffix == ".py" or p.is_dir()}
    assert found - {"__pycache__"} <= known
