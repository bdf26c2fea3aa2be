"""`regimes features`: everything once."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import Progress

from regimes.commands.running import run_to_end
from regimes.commands.words import table
from regimes.config import Settings
from regimes.package import encode
from regimes.pipeline import Pipeline


def execute(settings: Settings, *, as_json: bool) -> None:
    """Compute the combined package of each configured symbol and print it."""
    packages = run_to_end(_compute(settings))
    if as_json:
        for package in packages.values():
            print(encode(package).decode())
        return
    console = Console(soft_wrap=True)
    console.print(table(packages))
    for package in packages.values():
        console.print(f"{package['symbol']}: {package['narrative']}", highlight=False)


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
