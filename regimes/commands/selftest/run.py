"""Which checks are run, and the table of what came out."""

from rich.table import Table
from rich.text import Text

from regimes.commands.output import console
from regimes.commands.running import ExitCode, run_to_end
from regimes.commands.selftest import sockets, storage, webhooks
from regimes.commands.selftest.check import Result, run
from regimes.commands.selftest.examples import checks
from regimes.logs import LogSettings, configure


def execute(component: str | None, *, full: bool, verbose: bool) -> ExitCode:
    """Check one part, or all of them and the loopback exchange; CHECK_FAILED on any failure."""
    configure(LogSettings(level="INFO" if verbose else "CRITICAL"))
    results = [run(check) for check in checks() if component in {None, check.component}]
    if component in {None, "storage"}:
        results += run_to_end(storage.check())
    if component in {None, "webhooks"}:
        results += run_to_end(webhooks.check())
    if component is None:
        results += run_to_end(sockets.check(full=full))
    shown = console()
    shown.print(_table(results, verbose=verbose))
    failed = [result for result in results if not result.passed]
    shown.print(f"{len(results) - len(failed)} of {len(results)} checks passed", highlight=False)
    return ExitCode.CHECK_FAILED if failed else ExitCode.OK


def _table(results: list[Result], *, verbose: bool) -> Table:
    table = Table("component", "check", "result", title="Self-test", title_justify="left")
    if verbose:
        table.add_column("expected")
        table.add_column("found")
    elif any(not result.passed for result in results):
        table.add_column("found instead")
    for result in results:
        values = [result.expected, result.found] if verbose else [_instead(result)]
        cells = [result.component, result.name, "ok" if result.passed else "failed", *values]
        table.add_row(*map(Text, cells[: len(table.columns)]), style="" if result.passed else "bold red")
    return table


def _instead(result: Result) -> str:
    return "" if result.passed else f"{result.found} (not {result.expected})"
