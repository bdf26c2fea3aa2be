"""Mutation testing of the pure rooms: small changes to the source, each of which some test has to notice.

`python -m bench.mutants maths` changes one thing at a time in a copy of the project, runs the tests of that module and of what
uses it, and lists the changes that no test noticed. Long: a run of tests a change. `--sample N` tries so many, drawn by `--seed`.
"""

import ast
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import pytest
import typer

ROOT: Final = Path(__file__).parent.parent
PACKAGE: Final = ROOT / "regimes"
COPIED: Final = ("regimes", "tests", "bench", "config", "static", "docs", "pyproject.toml", "README.md")
ROOMS: Final = {
    "maths": ("regimes/maths", ("tests/maths", "tests/features")),
    "policy": (
        "regimes/alerting/policy.py",
        ("tests/alerting/test_policy.py", "tests/alerting/test_policy_bounds.py"),
    ),
}
LONGEST_S: Final = 1_800
"""A busy machine is no test that noticed; one that hangs ends by its own limit long before."""
_forks = get_context("forkserver")
# Loaded once for all runs; nothing of ours, as that is what changes.
_forks.set_forkserver_preload(
    ["pytest", "numpy", "polars", "pydantic", "msgspec", "hypothesis", "scipy.stats", "statsmodels.api"]
)
_COMPARED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_COMPUTED: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


class Mutant(NamedTuple):
    """One change: where it is, what stood there, what stands there now, and the whole changed source."""

    path: Path
    line: int
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.before}  ->  {self.after}"


def sources(place: Path) -> Sequence[Path]:
    """What is changed there: not the fitted numbers, which `tests/maths/test_frozen.py` knows by heart."""
    files = sorted(place.glob("*.py")) if place.is_dir() else [place]
    return [path for path in files if not path.stem.endswith("_frozen")]


def mutants(path: Path) -> Iterator[Mutant]:
    """Every change of one file, one at a time."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.expr):
            for change, undo in _changes(node):
                before = ast.unparse(node)
                change()
                after, source = ast.unparse(node), ast.unparse(tree)
                undo()
                yield Mutant(path, node.lineno, before, after, source)


def _changes(node: ast.expr) -> Iterator[tuple["_Set", "_Set"]]:
    match node:
        case ast.Compare(ops=[op, *rest]) if type(op) in _COMPARED:
            yield _Set(node, "ops", [_COMPARED[type(op)](), *rest]), _Set(node, "ops", [op, *rest])
        case ast.BinOp(op=op) if type(op) in _COMPUTED:
            yield _Set(node, "op", _COMPUTED[type(op)]()), _Set(node, "op", op)
        case ast.BoolOp(op=op):
            other = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield _Set(node, "op", other), _Set(node, "op", op)
        case ast.UnaryOp(op=ast.USub() as op):
            yield _Set(node, "op", ast.UAdd()), _Set(node, "op", op)
        case ast.Constant(value=bool(value)):
            yield _Set(node, "value", not value), _Set(node, "value", value)
        case ast.Constant(value=int(value) | float(value)):
            yield _Set(node, "value", value + 1), _Set(node, "value", value)


def _tried(found: Sequence[Mutant], copy: Path, tests: Sequence[str]) -> Iterator[Mutant]:
    """Those that survive, each told at once: a run is long."""
    for number, mutant in enumerate(found, start=1):
        if survives(mutant, copy, touching(mutant.path, tests)):
            typer.echo(f"{number}/{len(found)} {mutant}")
            yield mutant


class _Set(NamedTuple):
    """Sets an attribute of a node when called."""

    node: ast.expr
    name: str
    value: object

    def __call__(self) -> None:
        setattr(self.node, self.name, self.value)


def survives(mutant: Mutant, copy: Path, tests: Sequence[str]) -> bool:
    """Whether all tests pass with the change made; it is taken back afterwards."""
    target = copy / mutant.path.relative_to(ROOT)
    original = target.read_text()
    target.write_text(mutant.source)
    run = _forks.Process(target=_run, args=(copy, tuple(tests)))
    try:
        run.start()
        run.join(LONGEST_S)
    finally:
        run.kill()
        run.join()
        target.write_text(original)
    return run.exitcode == 0


def touching(path: Path, tests: Sequence[str]) -> Sequence[str]:
    """Of the tests those named after the changed file, or after a module of the package that uses it, nearest first."""
    using = [f"regimes.{'.'.join(path.relative_to(PACKAGE).with_suffix('').parts)}"]
    for name in using:
        using += [one for one, needed in _imports().items() if name in needed and one not in using]
    # Of `regimes.maths.burst_frozen` the tests are in `test_burst`, of `regimes.features.volatility_regime` in `test_volatility*`.
    words = [name.split(".")[2].partition("_")[0] for name in using if name.count(".") > 1]
    inside = [one for place in tests for one in sorted((ROOT / place).glob("*"))]
    files = [one for one in inside if one.is_dir() or one.stem.startswith("test_")]
    named = [one for word in words for one in files if one.stem.removeprefix("test_").startswith(word)]
    return [str(one.relative_to(ROOT)) for one in dict.fromkeys(named)] or tests


@cache
def _imports() -> dict[str, set[str]]:
    """What each module of the package imports, by full name; of `from a import b` both a and a.b."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(("regimes", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        found[name] = {f"{node.module}.{one.name}" for node in nodes for one in node.names}
        found[name] |= {str(node.module) for node in nodes}
    return found


def _run(copy: Path, tests: Sequence[str]) -> None:
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    sys.dont_write_bytecode = True
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        sys.exit(pytest.main(["-x", "-q", "-n", "0", "--reruns", "0", "-p", "no:cacheprovider", *tests]))


def main(
    room: Annotated[str, typer.Argument(help=f"One of {', '.join(ROOMS)}.")],
    sample: Annotated[int, typer.Option(min=0, help="Try so many changes only; 0 = all.")] = 0,
    seed: Annotated[int, typer.Option(help="Draws the sample.")] = 1,
) -> None:
    """Change one thing at a time and list what no test noticed; exit code 1 when there is any."""
    if room not in ROOMS:
        raise typer.BadParameter(f"choose of {', '.join(ROOMS)}")
    where, tests = ROOMS[room]
    place = ROOT / where
    found = [one for path in sources(place) for one in mutants(path)]
    if sample:
        found = random.Random(seed).sample(found, min(sample, len(found)))
    with tempfile.TemporaryDirectory(prefix="regimes-mutants-") as folder:
        copy = Path(folder)
        for part in COPIED:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__", "results"))
            else:
                shutil.copy(source, copy / part)
        needed = [*dict.fromkeys(test for one in found for test in touching(one.path, tests))]
        if survives(Mutant(found[0].path, 0, "", "", found[0].path.read_text()), copy, needed):
            survivors = list(_tried(found, copy, tests))
        else:
            raise typer.BadParameter(f"the tests of {room} fail as it is")
    typer.echo(f"{len(found)} changes, {len(found) - len(survivors)} noticed, {len(survivors)} not")
    raise typer.Exit(bool(survivors))


if __name__ == "__main__":
    typer.run(main)
