"""What the demo shows while it runs: a table that stays in place, plain lines, or JSON lines."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from regimes.commands import words
from regimes.commands.output import console
from regimes.commands.receiver import Received
from regimes.events import Event, body
from regimes.package import encode

Packages = Mapping[str, Mapping[str, Any]]


class Screen(Protocol):
    """Where the demo's output goes. every_s: real seconds between two showings of the packages."""

    every_s: float

    def say(self, line: str) -> None:
        """Say something about the demo itself."""
        ...

    def event(self, event: Event) -> None:
        """Show one state of an episode."""
        ...

    def message(self, received: Received) -> None:
        """Show a message as its reader would see it."""
        ...

    def packages(self, packages: Packages) -> None:
        """Show the signals as they stand."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


class LiveTable:
    """The five signals of each symbol in one place; events scroll by above them."""

    every_s = 0.5

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(Text("connecting, fetching history ..."), console=console, auto_refresh=False)
        self._live.start()

    def say(self, line: str) -> None:
        self._live.console.print(Text(line))

    def event(self, event: Event) -> None:
        self._live.console.print(Text(words.event_line(event), style=words.event_style(event)))

    def message(self, received: Received) -> None:
        self._live.console.print(Text(words.message_line(received), style="dim"))

    def packages(self, packages: Packages) -> None:
        self._live.update(Group(words.table(packages)), refresh=True)

    def close(self) -> None:
        self._live.stop()


class Lines:
    """One line for each thing, for pipes and logs; flushed, so that a reader sees it at once."""

    every_s = 5.0

    def say(self, line: str) -> None:
        typer.echo(line)

    def event(self, event: Event) -> None:
        self.say(words.event_line(event))

    def message(self, received: Received) -> None:
        self.say(words.message_line(received))

    def packages(self, packages: Packages) -> None:
        self.say("\n".join(words.lines(packages)))

    def close(self) -> None:
        """Leave nothing open."""


class JsonLines:
    """One JSON object a line on standard output: packages, events and messages; words go to standard error."""

    every_s = 5.0

    def say(self, line: str) -> None:
        typer.echo(line, err=True)

    def event(self, event: Event) -> None:
        typer.echo(msgspec.json.encode(body(event)))

    def message(self, received: Received) -> None:
        typer.echo(msgspec.json.encode({"message": received}))

    def packages(self, packages: Packages) -> None:
        for package in packages.values():
            typer.echo(encode(package))

    def close(self) -> None:
        """Leave nothing open."""


class Full(Lines):
    """For `--once`: the whole package, readable; what happens on the way goes to standard error."""

    def say(self, line: str) -> None:
        typer.echo(line, err=True)

    def packages(self, packages: Packages) -> None:
        typer.echo(json.dumps(list(packages.values()), indent=2, ensure_ascii=False))


def choose(*, once: bool, as_json: bool) -> Screen:
    """Choose by what was asked for and by whether somebody is watching."""
    if as_json:
        return JsonLines()
    if once:
        return Full()
    shown = console()
    return LiveTable(shown) if shown.is_terminal else Lines()
