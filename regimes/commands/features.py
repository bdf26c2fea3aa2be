"""`regimes features`: everything once."""

from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from regimes.commands.output import console
from regimes.commands.running import run_to_end
from regimes.commands.words import table
from regimes.config import Settings
from regimes.logs import configure
from regimes.package import encode
from regimes.pipeline import Pipeline
from regimes.redact import Redactor


def execute(settings: Settings, *, as_json: bool) -> None:
    """Compute the combined package of each configured symbol and print it."""
    configure(settings.log, redact=Redactor.of(settings))
    packages = run_to_end(_compute(settings))
    if as_json:
        for package in packages.values():
            typer.echo(encode(package))
        return
    shown = console()
    shown.print(table(packages))
    for package in packages.values():
        shown.print(Text(str(package["narrative"])))


async def _compute(settings: Settings) -> Mapping[str, Mapping[str, Any]]:
    pipeline = Pipeline(settings)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("history", total=None)
        pipeline.subscribe(
            on_progress=lambda step: progress.update(
                task, completed=step.done, total=step.total, description=step.label
            )
        )
        return await pipeline.compute_all_features()
