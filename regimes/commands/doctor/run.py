"""Everything the doctor looks at, and the table of what was found."""

from pathlib import Path
from typing import Final

from rich.table import Table
from rich.text import Text

from regimes.commands.doctor.alerts import database, endpoints
from regimes.commands.doctor.disk import disk
from regimes.commands.doctor.finding import Finding
from regimes.commands.doctor.venues import venues
from regimes.commands.endpoints import checked
from regimes.commands.output import console
from regimes.commands.running import ExitCode, run_to_end
from regimes.config import Settings, load
from regimes.errors import ConfigError
from regimes.logs import LogSettings, configure
from regimes.redact import Redactor
from regimes.wording import count

_STYLES: Final = {"ok": "green", "warning": "yellow", "wrong": "bold red"}


def execute(config: Path | None) -> ExitCode:
    """Look at everything, print a table, return CHECK_FAILED when something is wrong."""
    shown = console()
    configure(LogSettings(level="CRITICAL"))
    try:
        settings = load(config)
        redact = Redactor.of(settings)
        findings = run_to_end(examine(settings))
    except ConfigError as error:
        redact, findings = Redactor(), [_misconfigured(line) for line in str(error).splitlines()]
    table = Table("what", "verdict", "finding", "what to do", title="Doctor", title_justify="left")
    for finding in findings:
        cells = (finding.subject, finding.verdict, redact(finding.words), finding.remedy)
        table.add_row(*map(Text, cells), style=_STYLES[finding.verdict])
    shown.print(table)
    wrong = any(finding.verdict == "wrong" for finding in findings)
    return ExitCode.CHECK_FAILED if wrong else ExitCode.OK


async def examine(settings: Settings) -> list[Finding]:
    """Return every finding; a part of the configuration that is wrong ends only what depends on it."""
    findings = [
        Finding("configuration", "ok", f"{count(len(settings.symbols), 'symbol')}, all settings valid")
    ]
    findings += disk(settings)
    try:
        receivers = checked(settings)
    except ConfigError as error:
        receivers = ()
        findings.append(_misconfigured(str(error)))
    else:
        findings += await endpoints(receivers, settings.delivery)
    findings += await database(settings, receivers)
    return [*findings, *[finding async for finding in venues(settings)]]


def _misconfigured(words: str) -> Finding:
    return Finding("configuration", "wrong", words, "correct it, then run doctor again")
