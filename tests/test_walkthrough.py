"""The walk through one day of the past: each command and each line of code in it, and each figure it prints."""

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "walkthrough-2024-08-05.md"
COMMANDS = re.findall(
    r"^```bash\n(.+)\n```\n\n```text\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL
)


@pytest.fixture
def folder(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the recordings in it."""
    (tmp_path / "recordings").symlink_to(data_dir.resolve())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("command", "printed"), COMMANDS)
def test_each_command_prints_what_the_page_says(folder: Path, command: str, printed: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REGIMES_")}
    ran = subprocess.run(  # noqa: S603  # the page's own commands
        [sys.executable, "-m", *shlex.split(command)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert lines(ran.stdout) == lines(printed)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("folder")
def test_each_line_of_code_gives_what_the_page_says() -> None:
    code = doctest.DocTestParser().get_doctest(PAGE.read_text(), {}, PAGE.name, str(PAGE), 0)
    assert len(code.examples) > 20
    said: list[str] = []
    assert doctest.DocTestRunner().run(code, out=said.append).failed == 0, "".join(said)


def test_there_is_a_command_to_run() -> None:
    assert COMMANDS


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]
