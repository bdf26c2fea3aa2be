"""Documentation is tested: everything a user can set, receive or call has its heading, and samples run."""

import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperOption

from regimes.cli import app
from regimes.config.features import installed
from regimes.config.load import leaves
from regimes.config.settings import settings_type
from regimes.engine import Engine
from regimes.events import EventType
from regimes.features.base import Universe
from regimes.observations import MARKET
from regimes.package import SIGNALS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS: Any = typer.main.get_command(app)


def headings(name: str) -> set[str]:
    text = (ROOT / "docs" / name).read_text()
    return set(re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def commands(group: Any = COMMANDS, before: str = "") -> dict[str, Any]:
    """Every command and subcommand by the words that call it."""
    found = {}
    for name, command in group.commands.items():
        found[before + name] = command
        if hasattr(command, "commands"):
            found |= commands(command, f"{before}{name} ")
    return found


def called(words: list[str]) -> tuple[str, list[str]]:
    """The longest command these words begin with, and the other words."""
    known = commands()
    for length in range(len(words), 0, -1):
        if " ".join(words[:length]) in known:
            return " ".join(words[:length]), words[length:]
    raise AssertionError(f"no such command: {' '.join(words)}")


@pytest.mark.parametrize("path", [path for path, _ in leaves(settings_type())])
def test_every_setting_has_its_heading(path: str) -> None:
    assert path in headings("configuration.md")


@pytest.mark.parametrize("kind", EventType)
def test_every_event_type_has_its_heading(kind: EventType) -> None:
    assert kind.value in headings("signals.md")


@pytest.mark.parametrize("kind", [kind for kind in EventType if kind.source == "SYSTEM"])
def test_every_system_event_says_what_to_do(kind: EventType) -> None:
    assert kind.value in headings("operations.md")


@pytest.mark.parametrize("name", commands())
def test_every_command_has_its_heading(name: str) -> None:
    assert name in headings("cli.md")


def test_every_option_of_every_command_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    for name, command in commands().items():
        for parameter in command.params:
            if not isinstance(parameter, TyperOption):
                continue
            for option in parameter.opts:
                assert f"`{option}" in text, f"{name} {option}"


def test_every_field_of_every_reading_has_its_heading() -> None:
    universe = Universe(("BTC/USDT", "ETH/USDT"))
    engine = Engine.build(installed(), universe)
    known = headings("signals.md")
    package, market = engine.package("BTC/USDT"), engine.package(MARKET)
    for key in SIGNALS:
        for field in {*package[key], *market[key]}:
            timeframe = field.removesuffix("_regime") in universe.timeframes
            assert field in known or (timeframe and f"`{field}`" in (ROOT / "docs/signals.md").read_text()), (
                f"{key}.{field}"
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, _, place in re.findall(r"\]\(([^)#]*)(#([^)]+))?\)", without_code(page.read_text())):
        if target.startswith("http"):
            continue
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), target
        if place:
            assert place in anchors(there), f"{target}#{place}"


def without_code(text: str) -> str:
    """A page's text outside its samples."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What links to a page's headings end in, doubled ones numbered."""
    found: Counter[str] = Counter()
    made = set()
    for heading in re.findall(r"^#+ (.+)$", without_code(page.read_text()), flags=re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        made.add(f"{name}-{found[name]}" if found[name] else name)
        found[name] += 1
    return made


def test_every_page_and_picture_is_reached_from_the_readme_and_pictures_are_small() -> None:
    seen = {ROOT / "README.md"}
    waiting = [*seen]
    while waiting:
        page = waiting.pop()
        targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
        found = {(page.parent / target).resolve() for target in targets if not target.startswith("http")}
        waiting += [new for new in found - seen if new.suffix == ".md"]
        seen |= found
    pictures = set((ROOT / "docs/pictures").iterdir())
    assert set(PAGES) | pictures <= seen
    assert max(picture.stat().st_size for picture in pictures) < 200_000


def test_what_the_operators_page_names_exists() -> None:
    text = (ROOT / "docs/operators.md").read_text()
    rules = (ROOT / "config/examples/prometheus-rules.yml").read_text()
    assert set(re.findall(r"`(Regimes\w+)`", text)) <= set(re.findall(r"alert: (\w+)", rules))
    assert set(re.findall(r"`(regimes_\w+)`", text)) <= headings("metrics.md")
    assert set(re.findall(r"SYSTEM_\w+", text)) <= headings("operations.md")
    known_settings = headings("configuration.md")
    for path in re.findall(r"`((?:web|pipeline|alerting|storage|delivery)\.\w+)`", text):
        assert path in known_settings


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_in_the_documentation_exists(page: Path) -> None:
    for block in blocks(page, "bash"):
        for line in block.splitlines():
            for part in re.split(r"&&|;|\|", line):
                words = [word for word in shlex.split(part, comments=True) if "=" not in word]
                if words[:1] == ["regimes"] and len(words) > 1:
                    name, rest = called(words[1:])
                    options = {o for p in commands()[name].params for o in p.opts}
                    assert {word for word in rest if word.startswith("--")} <= options, part


@pytest.mark.parametrize(
    ("page", "code"),
    [
        pytest.param(page, code, id=f"{page.stem} {number}")
        for page in PAGES
        for number, code in enumerate(blocks(page, "python"), 1)
    ],
)
def test_every_sample_runs(page: Path, code: str, tmp_path: Path) -> None:
    # As a module of another name, so that what needs an exchange (under `__main__`) is defined but not started.
    (tmp_path / "verify.py").write_text(verify("python"))
    done = subprocess.run(  # noqa: S603  # our own samples
        [sys.executable, "-c", f"__name__ = 'sample'\n{code}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr


def verify(language: str) -> str:
    """The function of the webhooks page that other samples build on."""
    (code,) = (block for block in blocks(ROOT / "docs/webhooks.md", language) if "verify(" in block)
    return code


def test_the_first_screen_of_the_readme_has_the_two_commands() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:40])
    assert "\npip install -e . && regimes demo\n" in first_screen
    assert "\npip install -e '.[test]' && pytest\n" in first_screen
