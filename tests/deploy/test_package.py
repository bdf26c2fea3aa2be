"""What is published: the same bytes whoever builds it, typed, with everything an installation needs."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from regimes.cli.panels import EXIT_CODES, Panel
from regimes.commands.running import ExitCode
from tests.deploy.conftest import ROOT
from tests.test_docs import COMMANDS, commands

PARTS = (
    "pyproject.toml", "hatch_build.py", "README.md", "CHANGELOG.md", "LICENSE", "Dockerfile", ".dockerignore",
    "compose.yaml", ".gitignore", "config", "static", "docs", "bench", "regimes", "tests",
)  # fmt: skip


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own commands
        command, capture_output=True, text=True, timeout=120, check=False, **options
    )


def copied(to: Path, when: int) -> Path:
    """The project in another folder, with other times, owner's rights alone."""
    to.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(
                source, to / part, ignore=shutil.ignore_patterns("__pycache__", "results", "vendor")
            )
        else:
            shutil.copy(source, to / part)
    for path in to.rglob("*"):
        os.utime(path, (when, when))
    return to


def built(project: Path) -> dict[str, Path]:
    """Wheel and source archive by suffix."""
    out = project.parent / f"{project.name}-out"
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    done = run(command, cwd=project, env={**os.environ, "REGIMES_CHARTS": "off"})
    assert done.returncode == 0, done.stderr
    return {path.suffix: path for path in out.iterdir()}


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Path], dict[str, Path]]:
    folder = tmp_path_factory.mktemp("package")
    return built(copied(folder / "one", 1_600_000_000)), built(copied(folder / "other", 1_700_000_000))


def test_two_builds_have_the_same_bytes(twice: tuple[dict[str, Path], dict[str, Path]]) -> None:
    one, other = (
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in each.values()} for each in twice
    )
    assert one == other
    assert len(one) == 2


def test_the_wheel_has_types_settings_pages_and_the_files_for_operators(
    twice: tuple[dict[str, Path], dict[str, Path]],
) -> None:
    with zipfile.ZipFile(twice[0][".whl"]) as wheel:
        names = set(wheel.namelist())
    shipped = "regimes/_shipped"
    assert {
        "regimes/py.typed",
        f"{shipped}/config/regimes.toml",
        f"{shipped}/config/deploy/regimes.service",
        f"{shipped}/static/index.html",
    } <= names
    assert not [name for name in names if name.startswith(("tests", "bench")) or name.endswith(".pyc")]


def test_the_source_archive_has_the_image_and_the_tests(
    twice: tuple[dict[str, Path], dict[str, Path]],
) -> None:
    with tarfile.open(twice[0][".gz"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Dockerfile", "compose.yaml", "tests/deploy/test_package.py", "docs/deployment.md"} <= names


def complete(**asked: str) -> str:
    done = run([str(Path(sys.executable).parent / "regimes")], env={**os.environ, **asked})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_completion_script_for_each_shell(shell: str) -> None:
    assert "_REGIMES_COMPLETE" in complete(_REGIMES_COMPLETE=f"source_{shell}")


def test_completion_knows_every_command() -> None:
    found = complete(_REGIMES_COMPLETE="complete_bash", COMP_WORDS="regimes ", COMP_CWORD="1")
    assert set(found.split()) >= set(COMMANDS.commands)


def test_the_help_puts_every_command_under_a_heading_and_names_the_exit_codes() -> None:
    assert {command.rich_help_panel for command in COMMANDS.commands.values()} == set(Panel)
    page = (ROOT / "docs" / "cli.md").read_text()
    for code in ExitCode:
        assert f" {code.value} " in EXIT_CODES
        assert f"| {code.value} | " in page


def test_the_help_of_every_command_says_what_it_does_in_whole_sentences() -> None:
    for name, command in commands().items():
        words = (command.help or "").strip().splitlines()[0]
        assert words.endswith("."), name
        assert len(words) < 120, name
